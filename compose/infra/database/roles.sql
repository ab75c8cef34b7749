-- Makes roles and logins, and gives each what it needs. release.py runs it before and after the migrations, behind
-- privileges.sql, as one transaction; it sets `logins` to the secret file of that name.
--
-- It only adds: what ran before goes on with its own login, also when this release is taken back. What nobody needs
-- any more is taken away by retire.sql, once every tier runs with the new logins.
SET LOCAL log_statement = 'none';
SET LOCAL log_min_duration_statement = -1;
SET LOCAL log_min_error_statement = 'panic';
SET LOCAL lock_timeout = '10s'; -- a table's new owner waits for whoever reads it; nobody waits for that longer

-- basecommerce_owner owns database and tables, without being a superuser. basecommerce_logins may come in by TCP.
SELECT format('CREATE ROLE %I NOLOGIN', role)
FROM (SELECT l ->> 'role' FROM json_array_elements(:'logins') l
      UNION SELECT unnest('{basecommerce_owner,basecommerce_logins}'::text[])) AS wanted (role)
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role)
\gexec

SELECT format('CREATE ROLE %I LOGIN PASSWORD %L IN ROLE %I, basecommerce_logins', l ->> 'login', l ->> 'verifier', l ->> 'role')
FROM json_array_elements(:'logins') l
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = l ->> 'login')
\gexec

-- What a migration makes belongs to the owner, and not to the login of this one password.
SELECT format('ALTER ROLE %I SET role = %L', l ->> 'login', l ->> 'role')
FROM json_array_elements(:'logins') l WHERE l ->> 'role' = 'basecommerce_owner'
\gexec

-- A database in which the applications were superuser: they still are, by TCP, until retire.sql.
SELECT 'GRANT basecommerce_logins TO basecommerce'
WHERE EXISTS (SELECT FROM pg_tables WHERE schemaname = 'public' AND tableowner = 'basecommerce')
\gexec

SELECT 'ALTER DATABASE basecommerce OWNER TO basecommerce_owner'
WHERE EXISTS (SELECT FROM pg_database WHERE datname = 'basecommerce' AND datdba <> 'basecommerce_owner'::regrole)
UNION ALL
SELECT 'ALTER SCHEMA public OWNER TO basecommerce_owner'
WHERE EXISTS (SELECT FROM pg_namespace WHERE nspname = 'public' AND nspowner <> 'basecommerce_owner'::regrole)
UNION ALL
-- A table takes its indexes and its own sequences along.
SELECT format('ALTER %s %s OWNER TO basecommerce_owner', kinds.word, object.oid::regclass)
FROM pg_class object
JOIN (VALUES ('r', 'TABLE'), ('p', 'TABLE'), ('v', 'VIEW'), ('m', 'MATERIALIZED VIEW'), ('S', 'SEQUENCE'))
  AS kinds (relkind, word) ON kinds.relkind = object.relkind::text
WHERE object.relnamespace = 'public'::regnamespace AND object.relowner = 'basecommerce'::regrole
  AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = object.oid AND deptype IN ('a', 'e', 'i'))
UNION ALL
SELECT format('ALTER ROUTINE %s OWNER TO basecommerce_owner', oid::regprocedure)
FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND proowner = 'basecommerce'::regrole
  AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = pg_proc.oid AND deptype = 'e')
UNION ALL
SELECT format('ALTER TYPE %s OWNER TO basecommerce_owner', oid::regtype)
FROM pg_type WHERE typnamespace = 'public'::regnamespace AND typowner = 'basecommerce'::regrole
  AND typtype IN ('d', 'e', 'r')
  AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = pg_type.oid AND deptype = 'e')
\gexec

-- Of what a migration will add.
SELECT format('ALTER DEFAULT PRIVILEGES FOR ROLE basecommerce_owner GRANT %s TO %I', words, role)
FROM services, (VALUES ('SELECT, INSERT, UPDATE, DELETE ON TABLES'), ('USAGE ON SEQUENCES'), ('USAGE ON SCHEMAS')) AS kinds (words)
WHERE uses_new_tables
\gexec

SELECT format('GRANT USAGE ON SCHEMA public TO %I', role) FROM services
UNION ALL
SELECT format('GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO %I', role) FROM services WHERE uses_new_tables
UNION ALL
SELECT format('GRANT %s ON public.%I TO %I', privileges, tablename, role) FROM privileges WHERE privileges <> ''
\gexec
