-- The first data of a local stack's demo tenant; basec/hosts/demo_tenant.py runs it in the transaction that creates the tenant.
--
-- Nothing here needs an event: quotes, and new or cancelled orders, send none. What sends one is done through the shop:
-- the approved quote with the program's id becomes an order, which is delivered.
-- The document numbers are common examples.

INSERT INTO clientes (tenant_id, tipo, nome, documento, email, cidade, estado) VALUES
  (:tenant_id, 'PJ', 'Construtora Ipê Ltda.', '12.345.678/0001-95', 'obras@ipe.example.com', 'Campinas', 'SP'),
  (:tenant_id, 'PJ', 'Reformas São Jorge ME', '11.222.333/0001-81', 'contato@saojorge.example.com', 'Jundiaí', 'SP'),
  (:tenant_id, 'PF', 'Maria Aparecida da Silva', '123.456.789-09', 'maria@example.com', 'Campinas', 'SP'),
  (:tenant_id, 'PF', 'João Batista de Souza', '111.444.777-35', 'joao@example.com', 'Valinhos', 'SP');

INSERT INTO produtos (tenant_id, codigo, nome, unidade, preco_base) VALUES
  (:tenant_id, 'CIM-50', 'Cimento CP II 50 kg', 'SC', 39.90),
  (:tenant_id, 'ARE-M3', 'Areia média', 'M3', 145.00),
  (:tenant_id, 'BRI-M3', 'Brita 1', 'M3', 138.00),
  (:tenant_id, 'TIJ-8F', 'Tijolo cerâmico de 8 furos', 'MIL', 890.00),
  (:tenant_id, 'VER-10', 'Vergalhão CA-50 de 10 mm, 12 m', 'BR', 54.90),
  (:tenant_id, 'TIN-18', 'Tinta acrílica branca 18 L', 'LT', 289.00);

INSERT INTO cotacoes (id, tenant_id, cliente_id, numero, status, enviada_em, aprovada_em, created_at, updated_at)
SELECT CASE numero WHEN 'COT-005' THEN CAST(:quote_id AS uuid) ELSE gen_random_uuid() END, :tenant_id, clientes.id,
       numero, status, now() - sent, now() - approved, now() - made, now() - coalesce(approved, sent, made)
FROM (VALUES
  ('COT-001', 'João Batista de Souza', 'cancelada', interval '8 days', CAST(NULL AS interval), CAST(NULL AS interval)),
  ('COT-002', 'Reformas São Jorge ME', 'enviada', interval '5 days', interval '5 days', NULL),
  ('COT-003', 'Maria Aparecida da Silva', 'aprovada', interval '3 days', interval '3 days', interval '1 day'),
  ('COT-004', 'João Batista de Souza', 'enviada', interval '30 hours', interval '28 hours', NULL),
  ('COT-005', 'Construtora Ipê Ltda.', 'aprovada', interval '2 hours', interval '110 minutes', interval '20 minutes'),
  ('COT-006', 'Reformas São Jorge ME', 'rascunho', interval '10 minutes', NULL, NULL)
) AS quote (numero, cliente, status, made, sent, approved)
JOIN clientes ON clientes.tenant_id = :tenant_id AND clientes.nome = quote.cliente;

INSERT INTO pedidos (tenant_id, cliente_id, numero, status, created_at, updated_at)
SELECT :tenant_id, clientes.id, numero, status, now() - made, now() - made
FROM (VALUES
  ('PED-001', 'João Batista de Souza', 'cancelado', interval '7 days'),
  ('PED-002', 'Maria Aparecida da Silva', 'pendente', interval '1 hour')
) AS purchase (numero, cliente, status, made)
JOIN clientes ON clientes.tenant_id = :tenant_id AND clientes.nome = purchase.cliente;

CREATE TEMPORARY TABLE demo_lines ON COMMIT DROP AS
SELECT line.numero, line.ordem, produtos.id AS produto_id, line.quantidade, produtos.preco_base,
       round(line.quantidade * produtos.preco_base, 2) AS valor_total
FROM (VALUES
  ('COT-001', 1, 'TIN-18', 3.0), ('COT-002', 1, 'TIJ-8F', 4.5), ('COT-002', 2, 'CIM-50', 30.0),
  ('COT-003', 1, 'BRI-M3', 6.0), ('COT-004', 1, 'TIN-18', 2.0), ('COT-005', 1, 'CIM-50', 80.0),
  ('COT-005', 2, 'ARE-M3', 7.5), ('COT-005', 3, 'VER-10', 40.0), ('COT-006', 1, 'TIJ-8F', 2.0),
  ('PED-001', 1, 'TIN-18', 3.0), ('PED-002', 1, 'CIM-50', 12.0), ('PED-002', 2, 'ARE-M3', 2.0)
) AS line (numero, ordem, codigo, quantidade)
JOIN produtos ON produtos.tenant_id = :tenant_id AND produtos.codigo = line.codigo;

INSERT INTO cotacao_itens (tenant_id, cotacao_id, produto_id, quantidade, preco_unitario, valor_total, ordem)
SELECT :tenant_id, cotacoes.id, produto_id, quantidade, preco_base, valor_total, ordem
FROM demo_lines JOIN cotacoes ON cotacoes.tenant_id = :tenant_id AND cotacoes.numero = demo_lines.numero;

INSERT INTO pedido_itens (tenant_id, pedido_id, produto_id, quantidade, preco_unitario, valor_total, ordem)
SELECT :tenant_id, pedidos.id, produto_id, quantidade, preco_base, valor_total, ordem
FROM demo_lines JOIN pedidos ON pedidos.tenant_id = :tenant_id AND pedidos.numero = demo_lines.numero;
