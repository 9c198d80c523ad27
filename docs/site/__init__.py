"""Makes the site of the pages: mkdocs calls `hooks`, `make site` calls mkdocs."""
