-- Runs that the table holds: one row for each run, with how much of it there is.
--
-- Columns: load_date, markets, albums (distinct over all markets), row_count (tracks, counted in every market), revision,
-- market_codes (which markets; one that is not among them has no list in this run, which is not an empty list).
-- Asked with a filter on load_date, only those partitions are read.
SELECT
  load_date,
  COUNT(DISTINCT market) AS markets,
  COUNT(DISTINCT album_id) AS albums,
  COUNT(*) AS row_count,
  MAX(revision) AS revision,
  ARRAY_AGG(DISTINCT market ORDER BY market) AS market_codes
FROM `${table}`
GROUP BY load_date
