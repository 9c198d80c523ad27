-- How far a release reaches: one row for each run and album, with all markets that list it.
--
-- only_market is null unless it is one market alone. Asked with a filter on load_date, only those partitions are read.
SELECT
  load_date,
  album_id,
  ARRAY_AGG(DISTINCT market ORDER BY market) AS markets,
  COUNT(DISTINCT market) AS market_count,
  IF(COUNT(DISTINCT market) = 1, MAX(market), NULL) AS only_market
FROM `${table}`
GROUP BY load_date, album_id
