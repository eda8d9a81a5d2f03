CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO meta VALUES ('revision', 7);
CREATE TABLE object (kind TEXT NOT NULL, name TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (kind, name)) WITHOUT ROWID;
CREATE TABLE history (
    revision INTEGER PRIMARY KEY, at BIGINT NOT NULL, author TEXT NOT NULL, origin TEXT NOT NULL, action TEXT NOT NULL,
    edits TEXT NOT NULL, inverse TEXT NOT NULL
);
CREATE TABLE lease (key TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE node_state (key TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE bmc_certificate (key TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE job (key TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO lease VALUES ('a', '{"lease":1}'), ('b', '{"lease":2}');
INSERT INTO bmc_certificate VALUES ('10.0.0.1', 'sha256:00');
INSERT INTO history
    WITH RECURSIVE entry(revision) AS (SELECT 1 UNION ALL SELECT revision + 1 FROM entry WHERE revision < 7)
    SELECT revision, 0, 'ann', '10.0.0.1', 'test', '[]', '[]' FROM entry;
PRAGMA user_version = 1;
