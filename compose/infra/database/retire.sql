-- Takes away what nobody needs any more. `basec up` has it run at its end, when every tier runs with the new logins;
-- behind privileges.sql, as one transaction.
SET LOCAL lock_timeout = '10s';

CREATE TEMPORARY TABLE old_logins ON COMMIT DROP AS
SELECT rolname FROM pg_roles
WHERE rolcanlogin AND NOT rolsuper AND pg_has_role(oid, 'basecommerce_logins', 'member')
  AND rolname NOT IN (SELECT l ->> 'login' FROM json_array_elements(:'logins') l);

-- No login ends while it is in use: whoever still has the old password is sent away first.
SELECT format('ALTER ROLE %I NOLOGIN', rolname) FROM old_logins
\gexec
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename IN (SELECT rolname FROM old_logins) \g /dev/null
SELECT format('DROP OWNED BY %I', rolname) FROM old_logins
UNION ALL
SELECT format('DROP ROLE %I', rolname) FROM old_logins
\gexec

-- The superuser comes in by the socket alone, and has no password.
SELECT 'REVOKE basecommerce_logins FROM basecommerce'
WHERE EXISTS (SELECT FROM pg_auth_members
              WHERE roleid = 'basecommerce_logins'::regrole AND member = 'basecommerce'::regrole)
UNION ALL
SELECT 'ALTER ROLE basecommerce PASSWORD NULL'
WHERE EXISTS (SELECT FROM pg_authid WHERE rolname = 'basecommerce' AND rolpassword IS NOT NULL)
\gexec

-- A service keeps what privileges.sql gives it.
SELECT format('REVOKE ALL ON public.%I FROM %I', tablename, role) FROM privileges
UNION ALL
SELECT format('GRANT %s ON public.%I TO %I', privileges, tablename, role) FROM privileges WHERE privileges <> ''
\gexec
