"""A Spotify Web API for one machine: same shapes, same limits, a made-up catalogue, every fault on request.

    python -m local.spotify --port 0 --mode developer --seed 1

prints `ready http://127.0.0.1:PORT` once it serves: `/v1/...` is the API, `/api/token` the accounts service,
`/image/...` are the albums' covers, `/_control/...` what a test orders and reads.

Modules, each importing only those before it: `names` is the vocabulary; `cohorts` draws a week's new albums;
`shapes` words them as JSON, and `covers` draws what their images show; `catalogue` says which market lists what;
`endpoints` answers one call, purely; `limits` counts calls; `faults` keeps what was ordered to go wrong, and `presets`
names some of it; `alterations` does it to an answer; `app` is the HTTP shell; `__main__` starts it.

Sources. Shapes, parameters and their bounds: Spotify's Web API OpenAPI description
(developer.spotify.com/_data/documentation/web-api/reference/open-api-schema.yml, May 2026). What a
development-mode app may call, and which fields it no longer sees: the February 2026 changelog and migration
guide (developer.spotify.com/documentation/web-api/references/changes/february-2026). `QUOTA_EXCEEDED`: the
July 2026 changelog (changes/july-2026). The rolling window:
developer.spotify.com/documentation/web-api/concepts/rate-limits. The description has neither `reason` nor
Retry-After; both are as clients report them.

It deliberately does not imitate:

- any search but `tag:new` for albums: other queries find nothing;
- markets beyond the 48 this project reads: they are refused as invalid, though Spotify knows about 184;
- the country of a user, relinked tracks (albums only by the fault `relinked`), ranges of years, genres (always empty
  there too);
- the true size of the limits, which Spotify does not publish: they are settings;
- `/browse/new-releases` ignoring the market, which its description no longer lists: here a market has its own
  list (`market` or the former `country`) unless the fault `market_ignored` is ordered.
"""

from local.spotify.app import SIMULATOR, Settings, Simulator, create_app
from local.spotify.catalogue import Catalogue
from local.spotify.faults import Rule
from local.spotify.limits import Limits

__all__ = ["SIMULATOR", "Catalogue", "Limits", "Rule", "Settings", "Simulator", "create_app"]
