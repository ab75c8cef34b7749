-- Makes the role's password the one in the secret file, at every activation: the image reads the file at its
-- first start only, so a changed secret would otherwise lock the applications out.
-- Read by psql itself, so that it is in no argument list; not logged whatever the log settings say.
\set ON_ERROR_STOP on
\set password `cat /run/secrets/postgres_password`
SET log_statement = 'none';
SET log_min_duration_statement = -1;
SET log_min_error_statement = 'panic';
ALTER ROLE CURRENT_USER PASSWORD :'password';
