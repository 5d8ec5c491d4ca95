-- The store of schema version 1, as the program of that version made it.
CREATE TABLE meta (
	name VARCHAR NOT NULL,
	value VARCHAR NOT NULL,
	PRIMARY KEY (name)
);

CREATE TABLE measurements (
	key VARCHAR(64) NOT NULL,
	kind VARCHAR NOT NULL,
	parameters JSON NOT NULL,
	hardware VARCHAR NOT NULL,
	firmware VARCHAR NOT NULL,
	program VARCHAR NOT NULL,
	clock_hz BIGINT NOT NULL,
	status VARCHAR NOT NULL,
	error TEXT,
	cycles BIGINT,
	samples JSON,
	layers JSON,
	outputs JSON,
	model VARCHAR NOT NULL,
	flash_bytes INTEGER NOT NULL,
	ram_bytes INTEGER NOT NULL,
	toolchain TEXT NOT NULL,
	tools JSON NOT NULL,
	created FLOAT NOT NULL,
	PRIMARY KEY (key)
);

CREATE TABLE attempts (
	id SERIAL NOT NULL,
	key VARCHAR(64) NOT NULL,
	host VARCHAR NOT NULL,
	pid INTEGER NOT NULL,
	started FLOAT NOT NULL,
	ended FLOAT,
	status VARCHAR NOT NULL,
	error TEXT,
	PRIMARY KEY (id)
);

CREATE INDEX ix_attempts_key ON attempts (key);

CREATE UNIQUE INDEX attempts_one_ok_per_key ON attempts (key) WHERE status = 'ok';

CREATE TABLE claims (
	key VARCHAR(64) NOT NULL,
	attempt INTEGER NOT NULL,
	host VARCHAR NOT NULL,
	pid INTEGER NOT NULL,
	born BIGINT NOT NULL,
	expires FLOAT NOT NULL,
	PRIMARY KEY (key)
);

CREATE TABLE campaigns (
	id SERIAL NOT NULL,
	key VARCHAR(64) NOT NULL,
	config JSON NOT NULL,
	state VARCHAR NOT NULL,
	result JSON,
	created FLOAT NOT NULL,
	updated FLOAT NOT NULL,
	wall_s FLOAT NOT NULL,
	PRIMARY KEY (id),
	UNIQUE (key)
);

CREATE TABLE counts (
	key VARCHAR(64) NOT NULL,
	layers JSON NOT NULL,
	PRIMARY KEY (key),
	FOREIGN KEY(key) REFERENCES measurements (key)
);

CREATE TABLE evaluations (
	id SERIAL NOT NULL,
	campaign INTEGER NOT NULL,
	position INTEGER NOT NULL,
	stage VARCHAR NOT NULL,
	context VARCHAR(64) NOT NULL,
	scheme JSON NOT NULL,
	scheme_digest VARCHAR(64) NOT NULL,
	method VARCHAR,
	accuracy FLOAT,
	seconds FLOAT,
	predicted_cycles FLOAT,
	program VARCHAR(64),
	measurement VARCHAR(64),
	status VARCHAR NOT NULL,
	error TEXT,
	created FLOAT NOT NULL,
	PRIMARY KEY (id),
	UNIQUE (campaign, position),
	UNIQUE (campaign, stage, scheme_digest),
	FOREIGN KEY(campaign) REFERENCES campaigns (id),
	FOREIGN KEY(measurement) REFERENCES measurements (key)
);

CREATE INDEX evaluations_by_context ON evaluations (context, scheme_digest);

INSERT INTO meta (name, value) VALUES ('schema', '1');
