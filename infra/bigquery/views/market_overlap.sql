-- How much two markets' lists have in common: one row for each run and pair of markets that share a release.
--
-- Each pair is there in both directions; a market paired with itself says how long its list is. Pairs that share nothing
-- have no row. Made without a join, so that a filter on load_date reads only those partitions.
WITH listed AS (
  SELECT load_date, album_id, ARRAY_AGG(DISTINCT market) AS markets
  FROM `${table}`
  GROUP BY load_date, album_id
)
SELECT load_date, market, other_market, COUNT(*) AS shared
FROM listed, UNNEST(markets) AS market, UNNEST(markets) AS other_market
GROUP BY load_date, market, other_market
