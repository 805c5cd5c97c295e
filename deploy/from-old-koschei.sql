-- Reads a database of the Koschei that ran before (any of the last years), and prints a shell script that puts what
-- people had put in there by hand into this one. Nothing is changed in the database that is read. How to use it:
-- docs/operations.md, "Coming from the old Koschei"; what is left out, and why: docs/adr/0016-what-is-carried-over.md.

WITH home AS (  -- one Koschei serves one Koji
    SELECT id, name::text AS name, display_name, target, dest_tag, "order", priority_coefficient, build_group,
           poll_untracked, bugzilla_product, bugzilla_version
    FROM collection WHERE NOT secondary_mode
),
setting AS (  -- of a retired package, Koji does not tell the new Koschei
    SELECT home.name AS collection, p.name::text AS name, tracked, static_priority, manual_priority, skip_resolution,
           nullif(btrim(arch_override), '')::text AS arch_override
    FROM package AS p JOIN home ON home.id = p.collection_id
    WHERE NOT blocked
),
named_group AS (  -- there may be several global ones of the same name
    SELECT id, coalesce(namespace || '/', '') || name AS name FROM package_group
),
line (place, words, names) AS (
    SELECT 1, array_remove(ARRAY[
               'create-collection', name, '--display-name=' || display_name, '--target=' || target,
               '--dest-tag=' || dest_tag, '--order=' || "order", '--priority-coefficient=' || priority_coefficient,
               '--build-group=' || build_group,
               CASE WHEN poll_untracked THEN '--poll-untracked' ELSE '--no-poll-untracked' END,
               '--bugzilla-product=' || bugzilla_product, '--bugzilla-version=' || bugzilla_version], NULL),
           NULL::text
    FROM home
  UNION ALL
    SELECT 2, ARRAY['create-collection-group', g.name, '--display-name=' || g.display_name]
              || array_agg('--contents=' || home.name ORDER BY home.name), NULL
    FROM collection_group AS g JOIN collection_group_relation AS r ON r.group_id = g.id
    JOIN home ON home.id = r.collection_id
    GROUP BY g.id, g.name, g.display_name
  UNION ALL
    SELECT 3, ARRAY['grant-admin', '--create', name], NULL FROM "user" WHERE admin
  UNION ALL
    SELECT 4, ARRAY['set-notice', content], NULL FROM admin_notice WHERE key = 'global_notice'
  UNION ALL  -- packages are known from here on
    SELECT 5, ARRAY['reconcile'], NULL
  UNION ALL
    SELECT 6, ARRAY['track', '--collection=' || collection, '--from-file=-'], string_agg(name, E'\n' ORDER BY name)
    FROM setting WHERE tracked GROUP BY collection
  UNION ALL  -- where only builds of tracked packages are registered, they come now; they reset manual priorities
    SELECT 7, ARRAY['reconcile'], NULL
  UNION ALL
    SELECT 8, ARRAY['set-priority', '--static', '--collection=' || collection] || array_agg(name ORDER BY name)
              || static_priority::text, NULL
    FROM setting WHERE static_priority <> 0 GROUP BY collection, static_priority
  UNION ALL  -- the old scheduler itself took 1000 away whenever no architecture was allowed
    SELECT 9, ARRAY['set-priority', '--collection=' || collection] || array_agg(name ORDER BY name)
              || manual_priority::text, NULL
    FROM setting WHERE manual_priority > 0 GROUP BY collection, manual_priority
  UNION ALL
    SELECT 10, ARRAY['set-arch-override', '--collection=' || collection] || array_agg(name ORDER BY name)
              || arch_override, NULL
    FROM setting WHERE arch_override IS NOT NULL GROUP BY collection, arch_override
  UNION ALL
    SELECT 11, ARRAY['skip-resolution', '--collection=' || collection] || array_agg(name ORDER BY name), NULL
    FROM setting WHERE skip_resolution GROUP BY collection
  UNION ALL
    SELECT 12, ARRAY['add-group', g.name]
               || coalesce(array_agg(DISTINCT '--maintainer=' || u.name) FILTER (WHERE u.id IS NOT NULL), '{}'), NULL
    FROM named_group AS g LEFT JOIN group_acl AS a ON a.group_id = g.id LEFT JOIN "user" AS u ON u.id = a.user_id
    GROUP BY g.name
  UNION ALL
    SELECT 13, ARRAY['refresh-group', g.name, '--skip-unknown', '--force', '--from-file=-'],
           string_agg(DISTINCT b.name, E'\n')
    FROM named_group AS g JOIN package_group_relation AS r ON r.group_id = g.id
    JOIN base_package AS b ON b.id = r.base_id
    GROUP BY g.name
)
SELECT 'koschei-admin'
       || (SELECT string_agg(' ''' || replace(word, '''', '''\''''') || '''', '' ORDER BY position)
           FROM unnest(words) WITH ORDINALITY AS w(word, position))
       || coalesce(E' <<''END''\n' || names || E'\nEND', '')
FROM line ORDER BY place, words;
