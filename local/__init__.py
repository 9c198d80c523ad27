"""The whole stack on one machine: processes, emulators, stand-ins, the Spotify simulator, and the commands."""
