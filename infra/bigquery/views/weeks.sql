-- Runs that the table holds: one row for each run, with how much of it there is.
--
-- Columns: load_date, markets, albums (distinct over all markets), row_count (tracks, counted in every market), revision.
-- Asked with a filter on load_date, only those partitions are read.
SELECT
  load_date,
  COUNT(DISTINCT market) AS markets,
  COUNT(DISTINCT album_id) AS albums,
  COUNT(*) AS row_count,
  MAX(revision) AS revision
FROM `${table}`
GROUP BY load_date
