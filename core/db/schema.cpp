#include "core/db/schema.hpp"

namespace cairn {

namespace {

// Rows bound for the database come from the log, which has checked them; the constraints keep out what a
// defect or a hand at the database would add.
constexpr std::string_view version_1 = R"sql(
CREATE TABLE cairn.collection (
  id        int4 PRIMARY KEY CHECK (id > 0),
  versioned bool NOT NULL
);
CREATE TABLE cairn.node (
  id   int4 PRIMARY KEY CHECK (id > 0),
  name text COLLATE "C" NOT NULL UNIQUE CHECK (octet_length(name) BETWEEN 1 AND 63),
  host text NOT NULL,
  port int4 NOT NULL
);
CREATE TABLE cairn.file_space (
  space_id      int4 PRIMARY KEY CHECK (space_id > 0),
  purpose       text NOT NULL CHECK (purpose IN ('journal', 'storage')),
  path          text NOT NULL,
  volume        text NOT NULL,
  creation_time timestamptz NOT NULL
);
CREATE TABLE cairn.segment (
  id                        int8 PRIMARY KEY CHECK (id > 0),
  collection_id             int4 NOT NULL CHECK (collection_id > 0),
  key                       varchar(1024) COLLATE "C" NOT NULL CHECK (octet_length(key) BETWEEN 1 AND 1024),
  status                    char(1) NOT NULL CHECK (status IN ('A', 'C', 'F', 'T')),
  unified_id                int8 NOT NULL CHECK (unified_id > 0),
  timestamp                 timestamptz NOT NULL,
  segment_num               int2 CHECK (segment_num BETWEEN 1 AND 255),
  conjoined_part            int4 NOT NULL DEFAULT 0 CHECK (conjoined_part >= 0),
  file_size                 int8 CHECK (file_size >= 0),
  file_adler32              int8 CHECK (file_adler32 BETWEEN 0 AND 4294967295),
  file_hash                 bytea CHECK (octet_length(file_hash) = 16),
  file_tombstone_unified_id int8,
  source_node_id            int4,
  handoff_node_id           int4,
  CHECK (status <> 'F' OR (file_size IS NOT NULL AND file_hash IS NOT NULL AND file_adler32 IS NOT NULL
                           AND segment_num IS NOT NULL)),
  CHECK (status <> 'T' OR file_size = 0)
);
CREATE UNIQUE INDEX segment_key ON cairn.segment
  (unified_id, conjoined_part, segment_num, coalesce(handoff_node_id, 0)) WHERE status <> 'C';
CREATE INDEX segment_cancelled ON cairn.segment
  (unified_id, conjoined_part, segment_num, coalesce(handoff_node_id, 0)) WHERE status = 'C';
CREATE INDEX segment_collection_key ON cairn.segment (collection_id, key, unified_id DESC) WHERE status IN ('F', 'T');
CREATE INDEX segment_active ON cairn.segment (id) WHERE status = 'A';
CREATE INDEX segment_handoff ON cairn.segment (handoff_node_id) WHERE handoff_node_id IS NOT NULL;

-- A cancel whose key the node did not know keeps a late start from reviving it.
CREATE TABLE cairn.segment_fence (
  unified_id      int8 NOT NULL,
  conjoined_part  int4 NOT NULL,
  segment_num     int2 NOT NULL,
  handoff_node_id int4 NOT NULL, -- 0 = none
  timestamp       timestamptz NOT NULL,
  PRIMARY KEY (unified_id, conjoined_part, segment_num, handoff_node_id)
);
CREATE TABLE cairn.segment_sequence (
  collection_id     int4 NOT NULL,
  segment_id        int8 NOT NULL,
  sequence_num      int4 NOT NULL CHECK (sequence_num >= 0),
  value_file_id     int4 NOT NULL CHECK (value_file_id > 0),
  value_file_offset int8 NOT NULL CHECK (value_file_offset > 0),
  size              int4 NOT NULL CHECK (size >= 0),
  padding_size      int4 NOT NULL CHECK (padding_size >= 0),
  hash              bytea NOT NULL CHECK (octet_length(hash) = 16),
  adler32           int8 NOT NULL CHECK (adler32 BETWEEN 0 AND 4294967295),
  PRIMARY KEY (segment_id, sequence_num)
);
CREATE INDEX segment_sequence_value_file ON cairn.segment_sequence (value_file_id);
CREATE TABLE cairn.meta (
  collection_id int4 NOT NULL,
  segment_id    int8 NOT NULL,
  meta_key      varchar(1024) COLLATE "C" NOT NULL,
  meta_value    varchar(1024) COLLATE "C" NOT NULL,
  timestamp     timestamptz NOT NULL,
  PRIMARY KEY (segment_id, meta_key)
);
CREATE TABLE cairn.conjoined (
  id                 int8 PRIMARY KEY CHECK (id > 0),
  collection_id      int4 NOT NULL CHECK (collection_id > 0),
  key                varchar(1024) COLLATE "C" NOT NULL CHECK (octet_length(key) BETWEEN 1 AND 1024),
  unified_id         int8 NOT NULL CHECK (unified_id > 0),
  create_timestamp   timestamptz,
  abort_timestamp    timestamptz,
  complete_timestamp timestamptz,
  delete_timestamp   timestamptz,
  combined_size      int8,
  combined_hash      bytea,
  handoff_node_id    int4
);
CREATE UNIQUE INDEX conjoined_key ON cairn.conjoined (unified_id, coalesce(handoff_node_id, 0));
CREATE TABLE cairn.value_file (
  id                        int4 PRIMARY KEY CHECK (id > 0),
  space_id                  int4 NOT NULL,
  creation_time             timestamptz NOT NULL,
  close_time                timestamptz,
  size                      int8 NOT NULL DEFAULT 0 CHECK (size >= 0),
  hash                      bytea CHECK (octet_length(hash) = 16),
  segment_sequence_count    int4 NOT NULL DEFAULT 0,
  min_segment_id            int8,
  max_segment_id            int8,
  distinct_collection_count int4 NOT NULL DEFAULT 0,
  collection_ids            int4[],
  garbage_size_estimate     int8 NOT NULL DEFAULT 0,
  fragmentation_estimate    int8 NOT NULL DEFAULT 0,
  last_cleanup_check_time   timestamptz,
  last_integrity_check_time timestamptz
);
CREATE TABLE cairn.damaged_segment (
  collection_id    int4 NOT NULL,
  key              varchar(1024) COLLATE "C" NOT NULL,
  status           char(1) NOT NULL CHECK (status IN ('M', 'D')),
  unified_id       int8 NOT NULL,
  timestamp        timestamptz NOT NULL,
  segment_num      int2 NOT NULL,
  conjoined_part   int4 NOT NULL,
  sequence_numbers int4[] NOT NULL,
  PRIMARY KEY (unified_id, conjoined_part, segment_num)
);
CREATE TABLE cairn.log_position (
  only_row bool PRIMARY KEY DEFAULT true CHECK (only_row),
  lsn      int8 NOT NULL CHECK (lsn >= 0)
);
INSERT INTO cairn.log_position (lsn) VALUES (0);
CREATE TABLE cairn.rejected (
  lsn    int8 PRIMARY KEY,
  reason text NOT NULL,
  time   timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE cairn.identity (
  only_row     bool PRIMARY KEY DEFAULT true CHECK (only_row),
  cluster_name text NOT NULL,
  node_name    text NOT NULL,
  node_id      int4 NOT NULL
);
)sql";

// A node's own copy and one for another node are damaged each for itself.
constexpr std::string_view version_2 = R"sql(
ALTER TABLE cairn.damaged_segment
  ADD COLUMN handoff_node_id int4 NOT NULL DEFAULT 0, -- 0 = none
  DROP CONSTRAINT damaged_segment_pkey,
  ADD PRIMARY KEY (unified_id, conjoined_part, segment_num, handoff_node_id);
INSERT INTO cairn.damaged_segment (collection_id, key, status, unified_id, timestamp, segment_num, conjoined_part,
                                   sequence_numbers, handoff_node_id)
SELECT d.collection_id, d.key, d.status, d.unified_id, d.timestamp, d.segment_num, d.conjoined_part,
       d.sequence_numbers, s.handoff_node_id
FROM cairn.damaged_segment d
JOIN cairn.segment s ON s.unified_id = d.unified_id AND s.conjoined_part = d.conjoined_part
                    AND s.segment_num = d.segment_num AND s.status <> 'C' AND s.handoff_node_id IS NOT NULL;
DELETE FROM cairn.damaged_segment d
WHERE NOT EXISTS (SELECT FROM cairn.segment s
                  WHERE s.unified_id = d.unified_id AND s.conjoined_part = d.conjoined_part
                    AND s.segment_num = d.segment_num AND coalesce(s.handoff_node_id, 0) = d.handoff_node_id
                    AND s.status <> 'C');
ALTER TABLE cairn.damaged_segment ALTER COLUMN handoff_node_id DROP DEFAULT;
)sql";

} // namespace

const std::vector<std::string_view>& schema_migrations() {
  static const std::vector<std::string_view> migrations{version_1, version_2};
  return migrations;
}

} // namespace cairn
