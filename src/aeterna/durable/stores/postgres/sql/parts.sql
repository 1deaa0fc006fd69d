-- What several statements have in common.

-- part: run
-- The columns of a run, in the order of the fields of `RunRow`.
run.key, run.id, run.workflow, run.version, run.state, run.detail, run.created_us, run.updated_us, run.length, run.epoch,
run.owner, run.wake_us, run.finished_us, run.parent, run.note, run.queue, run.priority, run.share, run.requires,
run.crashes

-- part: allowed
-- What the choice of a claim allows: the parameters 3 to 7 of all statements that claim.
run.crashes < $3::bigint AND run.requires <@ $7::text[]
AND (run.queue = '' OR $6::text[] IS NULL OR run.queue = ANY ($6))
AND ($4::text[] IS NULL OR EXISTS (SELECT 1 FROM unnest($4::text[], $5::text[]) AS able (workflow, version)
                                   WHERE able.workflow = run.workflow AND able.version = run.version))

-- part: unneeded
-- No unfinished parent may ask for the run; parameter 1 is the namespace.
NOT EXISTS (SELECT 1 FROM aeterna.runs AS above
            WHERE above.namespace = $1 AND above.id = runs.parent AND above.finished_us IS NULL)

-- part: below
-- The descendants of the run; parameter 1 is the namespace.
WITH RECURSIVE below (id, finished_us) AS (
  SELECT child.id, child.finished_us FROM aeterna.runs AS child
  WHERE child.namespace = $1 AND child.parent = runs.id
  UNION
  SELECT child.id, child.finished_us FROM below
  JOIN aeterna.runs AS child ON child.namespace = $1 AND child.parent = below.id)

-- part: chosen
-- Which runs are meant: 1 name of the namespace, 2 workflow, 3 states, 4 ids; NULL matches all.
($1::text IS NULL OR run.namespace = (SELECT key FROM aeterna.namespaces WHERE name = $1))
AND ($2::text IS NULL OR run.workflow = $2)
AND ($3::text[] IS NULL OR run.state = ANY ($3))
AND ($4::text[] IS NULL OR run.id = ANY ($4))
