-- What each service may do with which table, for roles.sql and retire.sql: the temporary tables `services` and
-- `privileges`.
--
-- auth, construction and engines read and write every table, also one that a migration adds; below is what differs.
-- relay has what is listed and nothing else. The owner, who runs the migrations, needs no line.

CREATE TEMPORARY TABLE services (role text PRIMARY KEY, uses_new_tables boolean NOT NULL) ON COMMIT DROP;
INSERT INTO services VALUES ('auth', true), ('construction', true), ('engines', true), ('relay', false);

CREATE TEMPORARY TABLE exceptions (role text, pattern text, privileges text) ON COMMIT DROP;
INSERT INTO exceptions VALUES
  -- The schema's version is the migrations' own.
  ('auth', 'alembic_version', ''), ('construction', 'alembic_version', ''), ('engines', 'alembic_version', ''),
  -- Only operators make a tenant, or close one (`basec tenants`).
  ('auth', 'tenants', 'SELECT'), ('construction', 'tenants', 'SELECT'), ('engines', 'tenants', 'SELECT'),
  ('construction', 'tenant_branding', 'SELECT'), ('engines', 'tenant_branding', ''),
  -- Passwords are read where a login is checked, and nowhere else.
  ('construction', 'users', 'SELECT, all but password_hash'), ('engines', 'users', ''),
  -- The events' way: construction writes, relay sends, engines keep the results and say which event they cannot use.
  ('auth', 'event_outbox', ''), ('relay', 'event_outbox', 'SELECT, UPDATE'), ('engines', 'event_outbox', 'SELECT, UPDATE'),
  ('auth', 'engine\_%', ''), ('construction', 'engine\_%', 'SELECT'),
  -- The shop's own tables.
  ('auth', 'clientes', ''), ('auth', 'obras', ''), ('auth', 'produtos', ''), ('auth', 'historico_precos', ''),
  ('auth', 'cotacoes', ''), ('auth', 'cotacao_itens', ''), ('auth', 'pedidos', ''), ('auth', 'pedido_itens', ''),
  ('auth', 'estoque', ''), ('auth', 'fornecedores', ''), ('auth', 'fornecedor_precos', ''),
  ('engines', 'clientes', 'SELECT'), ('engines', 'obras', 'SELECT'), ('engines', 'produtos', 'SELECT'),
  ('engines', 'historico_precos', 'SELECT'), ('engines', 'cotacoes', 'SELECT'), ('engines', 'cotacao_itens', 'SELECT'),
  ('engines', 'pedidos', 'SELECT'), ('engines', 'pedido_itens', 'SELECT'), ('engines', 'estoque', 'SELECT'),
  ('engines', 'fornecedores', 'SELECT'), ('engines', 'fornecedor_precos', 'SELECT');

CREATE TEMPORARY TABLE privileges ON COMMIT DROP AS
SELECT services.role, tables.relname AS tablename,
  coalesce(
    replace(found.privileges, 'SELECT, all but password_hash', (
      SELECT format('SELECT (%s)', string_agg(quote_ident(attname), ', ' ORDER BY attnum))
      FROM pg_attribute
      WHERE attrelid = tables.oid AND attnum > 0 AND NOT attisdropped AND attname <> 'password_hash')),
    CASE WHEN uses_new_tables THEN 'SELECT, INSERT, UPDATE, DELETE' ELSE '' END) AS privileges
FROM services
CROSS JOIN pg_class tables
LEFT JOIN exceptions found ON found.role = services.role AND tables.relname LIKE found.pattern
WHERE tables.relnamespace = 'public'::regnamespace AND tables.relkind IN ('r', 'p', 'v', 'm');
