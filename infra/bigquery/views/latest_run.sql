-- Every track of the newest run of the last 60 days.
SELECT *
FROM `${table}`
WHERE load_date >= DATE_SUB(CURRENT_DATE(), INTERVAL 60 DAY)
  AND load_date = (
    SELECT MAX(load_date) FROM `${table}` WHERE load_date >= DATE_SUB(CURRENT_DATE(), INTERVAL 60 DAY)
  )
