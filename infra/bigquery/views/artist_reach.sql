-- How far an artist reaches: one row for each run and artist, with the markets that list a track of theirs.
--
-- The table keeps ids apart but names joined. A name is taken from a track of this artist alone, else from its place in
-- the joined names where these split into as many names as there are ids, else it is the id. Asked with a filter on
-- load_date, only those partitions are read.
SELECT
  load_date,
  artist_id,
  COALESCE(
    MAX(IF(ARRAY_LENGTH(artist_ids) = 1, artists, NULL)),
    MAX(IF(ARRAY_LENGTH(SPLIT(artists, ', ')) = ARRAY_LENGTH(artist_ids), SPLIT(artists, ', ')[SAFE_ORDINAL(place + 1)], NULL)),
    artist_id
  ) AS artist,
  COUNT(DISTINCT market) AS market_count,
  COUNT(DISTINCT album_id) AS albums,
  COUNT(DISTINCT track_id) AS tracks,
  ARRAY_AGG(DISTINCT market ORDER BY market) AS markets
FROM `${table}`, UNNEST(artist_ids) AS artist_id WITH OFFSET AS place
GROUP BY load_date, artist_id
