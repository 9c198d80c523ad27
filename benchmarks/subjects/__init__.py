"""What is measured, each as a process of its own: fresh every time, and with no memory but its own."""
