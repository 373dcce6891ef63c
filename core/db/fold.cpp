#include "core/db/fold.hpp"

#include "core/db/array_literal.hpp"
#include "core/db/fold_repair.hpp"
#include "core/db/segment_rows.hpp"
#include "core/db/sql_time.hpp"
#include "core/db/transaction_statements.hpp"

#include <unordered_map>
#include <unordered_set>

#include <fmt/format.h>
#include <pqxx/pqxx>

namespace cairn {

namespace {

using kind = fold_outcome::kind;

/// Segment keys as unnest() gives them match rows through the indexes' own expressions.
#define CAIRN_SAME_KEY(row, key)                                                                             \
  row ".unified_id = " key ".unified_id AND " row ".conjoined_part = " key ".conjoined_part AND " row        \
      ".segment_num = " key ".segment_num"

// Segments that begin here and all sequences travel in one statement: each trip to the server counts. Rows of
// `fresh` are not visible to the statement itself, hence the two ways in which a sequence finds its segment.
constexpr auto sql_insert = R"(
WITH fresh AS (
  INSERT INTO cairn.segment (id, collection_id, key, status, unified_id, timestamp, segment_num, conjoined_part,
                             file_size, file_adler32, file_hash, source_node_id, handoff_node_id)
  SELECT u.id, u.collection_id, u.key, u.status, u.unified_id, )" CAIRN_SQL_FROM_US("u.timestamp_us") R"(,
         u.segment_num, u.conjoined_part, u.file_size, u.file_adler32, u.file_hash, nullif(u.source, 0),
         nullif(u.handoff, 0)
  FROM unnest($1::int8[], $2::int4[], $3::text[], $4::text[], $5::int8[], $6::int8[], $7::int2[], $8::int4[],
              $9::int8[], $10::int8[], $11::bytea[], $12::int4[], $13::int4[])
       AS u (id, collection_id, key, status, unified_id, timestamp_us, segment_num, conjoined_part,
             file_size, file_adler32, file_hash, source, handoff)
  WHERE NOT EXISTS (SELECT FROM cairn.segment c WHERE )" CAIRN_SAME_KEY("c", "u") R"(
                    AND coalesce(c.handoff_node_id, 0) = u.handoff AND c.status = 'C')
    AND NOT EXISTS (SELECT FROM cairn.segment_fence f WHERE )" CAIRN_SAME_KEY("f", "u") R"(
                    AND f.handoff_node_id = u.handoff)
  ON CONFLICT DO NOTHING RETURNING id),
sequences AS (
  INSERT INTO cairn.segment_sequence (collection_id, segment_id, sequence_num, value_file_id, value_file_offset,
                                      size, padding_size, hash, adler32)
  SELECT u.collection_id, u.segment_id, u.sequence_num, u.value_file_id, u.value_file_offset, u.size,
         u.padding_size, u.hash, u.adler32
  FROM unnest($14::int4[], $15::int8[], $16::int4[], $17::int4[], $18::int8[], $19::int4[], $20::int4[],
              $21::bytea[], $22::int8[])
       AS u (collection_id, segment_id, sequence_num, value_file_id, value_file_offset, size, padding_size, hash,
             adler32)
  WHERE u.segment_id IN (SELECT id FROM fresh)
     OR EXISTS (SELECT FROM cairn.segment s WHERE s.id = u.segment_id AND s.status = 'A')
  ON CONFLICT DO NOTHING)
SELECT id FROM fresh)";

// A final counts only when all its sequences are there.
constexpr auto sql_finish_segments = R"(
UPDATE cairn.segment s
SET status = 'F', file_size = u.file_size, file_adler32 = u.file_adler32, file_hash = u.file_hash
FROM unnest($1::int8[], $2::int8[], $3::int8[], $4::bytea[], $5::int4[], $6::int8[])
     AS u (id, file_size, file_adler32, file_hash, sequence_count, total_bytes)
WHERE s.id = u.id AND s.status = 'A'
  AND (u.sequence_count, u.total_bytes) =
      (SELECT count(*), coalesce(sum(q.size), 0) FROM cairn.segment_sequence q WHERE q.segment_id = u.id)
RETURNING s.id)";

constexpr auto sql_insert_meta = R"(
INSERT INTO cairn.meta (collection_id, segment_id, meta_key, meta_value, timestamp)
SELECT u.collection_id, u.segment_id, u.meta_key, u.meta_value, )" CAIRN_SQL_FROM_US("u.timestamp_us") R"(
FROM unnest($1::int4[], $2::int8[], $3::text[], $4::text[], $5::int8[])
     AS u (collection_id, segment_id, meta_key, meta_value, timestamp_us)
ON CONFLICT DO NOTHING)";

constexpr auto sql_cancel = R"(
UPDATE cairn.segment SET status = 'C'
WHERE unified_id = $1 AND conjoined_part = $2 AND segment_num = $3 AND coalesce(handoff_node_id, 0) = $4
  AND status <> 'C' AND status <> 'T' AND ($5::int8 = 0 OR id = $5::int8))";

/// Rows of the segment key $1..$4; a condition on status must follow, so that a partial index serves.
#define CAIRN_KEY_ROWS                                                                                       \
  "cairn.segment WHERE unified_id = $1 AND conjoined_part = $2 AND segment_num = $3"                         \
  " AND coalesce(handoff_node_id, 0) = $4 AND status "

// A tombstone does not keep a client's cancel from fencing the key: it may be purged.
constexpr auto sql_fence = R"(
INSERT INTO cairn.segment_fence (unified_id, conjoined_part, segment_num, handoff_node_id, timestamp)
SELECT $1::int8, $2::int4, $3::int2, $4::int4, )" CAIRN_SQL_FROM_US("$5::int8") R"(
WHERE NOT EXISTS (SELECT FROM )" CAIRN_KEY_ROWS R"(= 'C')
  AND NOT EXISTS (SELECT FROM )" CAIRN_KEY_ROWS R"(<> 'C' AND (status <> 'T' OR NOT $6::bool))
ON CONFLICT DO NOTHING)";

constexpr auto sql_forget = R"(
WITH gone AS (DELETE FROM cairn.segment WHERE id = $1 AND status = 'A' RETURNING id)
DELETE FROM cairn.segment_sequence WHERE segment_id IN (SELECT id FROM gone))";

constexpr auto sql_insert_tombstone = R"(
INSERT INTO cairn.segment (id, collection_id, key, status, unified_id, timestamp, segment_num, conjoined_part,
                           file_size, file_tombstone_unified_id, source_node_id, handoff_node_id)
VALUES ($1, $2, $3, 'T', $4, )" CAIRN_SQL_FROM_US(
  "$5::int8") R"(, $6, $7, 0, nullif($8::int8, 0), nullif($9::int4, 0),
        nullif($10::int4, 0))
ON CONFLICT DO NOTHING)";

constexpr auto sql_conjoined = R"(
INSERT INTO cairn.conjoined AS c (id, collection_id, key, unified_id, handoff_node_id, create_timestamp,
                                  abort_timestamp, complete_timestamp)
VALUES ($1, $2, $3, $4, nullif($5::int4, 0), )" CAIRN_SQL_FROM_US("$6::int8") ", " CAIRN_SQL_FROM_US(
  "$7::int8") ", " CAIRN_SQL_FROM_US("$8::int8") R"()
ON CONFLICT (unified_id, coalesce(handoff_node_id, 0)) DO UPDATE
SET create_timestamp = coalesce(c.create_timestamp, excluded.create_timestamp),
    abort_timestamp = coalesce(c.abort_timestamp, excluded.abort_timestamp),
    complete_timestamp = coalesce(c.complete_timestamp, excluded.complete_timestamp)
WHERE c.collection_id = excluded.collection_id AND c.key = excluded.key)";

// A cancelled copy stays: it keeps a late start from reviving the segment.
constexpr auto sql_purge = R"(
WITH gone AS (
  DELETE FROM cairn.segment
  WHERE $4 <> 0 AND id IN (SELECT id FROM )" CAIRN_KEY_ROWS R"(<> 'C' AND status <> 'A')
  RETURNING id),
sequences AS (DELETE FROM cairn.segment_sequence WHERE segment_id IN (SELECT id FROM gone))
DELETE FROM cairn.meta WHERE segment_id IN (SELECT id FROM gone))";

// On its own: a reader may have noted damage while the rows that go were waited for.
constexpr auto sql_forget_damage = R"(
DELETE FROM cairn.damaged_segment
WHERE unified_id = $1 AND conjoined_part = $2 AND segment_num = $3 AND handoff_node_id = $4
  AND NOT EXISTS (SELECT FROM )" CAIRN_KEY_ROWS "<> 'C')";

constexpr auto sql_collection = R"(
INSERT INTO cairn.collection (id, versioned) VALUES ($1, $2)
ON CONFLICT (id) DO UPDATE SET versioned = excluded.versioned)";

// A number stands for its name in every row: the first name stays, whatever comes later.
constexpr auto sql_node = R"(
INSERT INTO cairn.node (id, name, host, port) VALUES ($1, $2, $3, $4)
ON CONFLICT (id) DO UPDATE SET host = excluded.host, port = excluded.port WHERE node.name = excluded.name)";

constexpr auto sql_file_space = R"(
INSERT INTO cairn.file_space (space_id, purpose, path, volume, creation_time)
VALUES ($1, $2, $3, $4, )" CAIRN_SQL_FROM_US("$5::int8") R"()
ON CONFLICT (space_id) DO UPDATE SET purpose = excluded.purpose, path = excluded.path, volume = excluded.volume,
                                     creation_time = least(file_space.creation_time, excluded.creation_time))";

constexpr auto sql_value_file = R"(
INSERT INTO cairn.value_file (id, space_id, creation_time, close_time, size, hash, segment_sequence_count,
                              min_segment_id, max_segment_id, distinct_collection_count, collection_ids)
VALUES ($1, $2, )" CAIRN_SQL_FROM_US("$3::int8") ", " CAIRN_SQL_FROM_US(
  "$4::int8") R"(, $5, $6, $7, nullif($8::int8, 0),
        nullif($9::int8, 0), $10, $11::int4[])
ON CONFLICT (id) DO UPDATE
SET space_id = excluded.space_id, creation_time = excluded.creation_time, close_time = excluded.close_time,
    size = excluded.size, hash = excluded.hash, segment_sequence_count = excluded.segment_sequence_count,
    min_segment_id = excluded.min_segment_id, max_segment_id = excluded.max_segment_id,
    distinct_collection_count = excluded.distinct_collection_count, collection_ids = excluded.collection_ids)";

/// A segment that begins in the stage.
struct new_segment {
  std::size_t record = 0; ///< index of its sequence 0
  const segment_identity* of = nullptr;
  std::int32_t sequence_count = 0; ///< of those 0, 1, 2, ... in the stage
  std::uint64_t total_bytes = 0;
  bool is_regular = true; ///< its sequences came in order: only then its final can be judged without the rows
  const final_record* final = nullptr; ///< in the stage too, and complete by it
};

/// Records that go to the database together: any number of sequences and finals, no key twice.
class stage {
public:
  stage(transaction_statements& statements, std::span<const placed_record> records,
        std::vector<fold_outcome>& outcomes)
      : statements_(statements), records_(records), outcomes_(outcomes) {}

  void add_sequence(std::size_t index, const sequence_record& record) {
    const auto begins = record.sequence.sequence_num == 0;
    if (is_full() || finals_.contains(record.of.id)
        || (begins
            && (keys_.contains(record.of.key()) || new_.contains(record.of.id)
                || older_.contains(record.of.id))))
      execute();
    if (begins) {
      keys_.insert(record.of.key());
      new_.emplace(record.of.id, new_segment{index, &record.of});
    }
    if (const auto found = new_.find(record.of.id); found != new_.end()) {
      auto& segment = found->second;
      segment.is_regular = segment.is_regular && record.sequence.sequence_num == segment.sequence_count;
      ++segment.sequence_count;
      segment.total_bytes += record.sequence.size_bytes;
    } else {
      older_.insert(record.of.id);
    }
    sequences_.push_back(index);
    add_size(record.of);
  }

  void add_final(std::size_t index, const final_record& record) {
    const auto found = new_.find(record.of.id);
    const auto completes = found != new_.end() && found->second.final == nullptr && found->second.is_regular
                           && found->second.sequence_count == record.sequence_count
                           && found->second.total_bytes == record.total_bytes;
    if (completes)
      found->second.final = &record;
    else if (found != new_.end() || finals_.contains(record.of.id) || is_full())
      execute();
    finals_.emplace(record.of.id, index);
    add_size(record.of);
    for (const auto& [key, value] : record.meta)
      text_bytes_ += key.size() + value.size() + row_bytes;
  }

  void execute() {
    const auto fresh = insert();
    const auto finished = finish_segments(fresh);
    insert_meta(finished);
    tell_outcomes(fresh, finished);
    new_.clear();
    keys_.clear();
    older_.clear();
    sequences_.clear();
    finals_.clear();
    text_bytes_ = 0;
  }

private:
  /// PostgreSQL takes no statement past 1 GiB. This is far below, with every byte escaped too, and far above
  /// what rounds are when all is well.
  static constexpr std::size_t max_text_bytes = 16U << 20U;
  static constexpr std::size_t row_bytes = 200; ///< of the values that are no texts, about

  /// Asked between a segment's records only by its sequences: a final finds its own in the stage.
  [[nodiscard]] bool is_full() const { return text_bytes_ >= max_text_bytes; }
  void add_size(const segment_identity& of) { text_bytes_ += of.segment.key.size() + row_bytes; }

  using ids = std::unordered_set<segment_id>;

  ids returned_ids(const pqxx::result& rows) {
    ids out;
    for (const auto& row : rows)
      out.insert(segment_id{row[0].as<std::int64_t>()});
    return out;
  }

  /// @returns segments that have their row by a record of the stage
  ids insert() {
    if (sequences_.empty())
      return {};
    array_literal id, collection, key, status, version, timestamp, num, part, size, adler, hash, source,
      handoff;
    array_literal q_collection, q_segment, q_num, q_file, q_offset, q_size, q_padding, q_hash, q_adler;
    for (const auto index : sequences_) { // in log order: of two with one key the earlier one wins
      const auto& record = std::get<sequence_record>(records_[index].body);
      const auto& at = records_[index].at;
      q_collection.add(record.of.segment.collection.value);
      q_segment.add(record.of.id.value);
      q_num.add(record.sequence.sequence_num);
      q_file.add(at.value_file.value);
      q_offset.add(at.data_offset());
      q_size.add(record.sequence.size_bytes);
      q_padding.add(record.sequence.padding_bytes);
      q_hash.add_bytes(record.sequence.md5);
      q_adler.add(record.sequence.adler32);

      const auto found = new_.find(record.of.id);
      if (found == new_.end() || found->second.record != index)
        continue;
      const auto& of = *found->second.of;
      const auto* final = found->second.final;
      id.add(of.id.value);
      collection.add(of.segment.collection.value);
      key.add_text(of.segment.key);
      status.add_text(final == nullptr ? "A" : "F");
      version.add(of.segment.version.value);
      timestamp.add(of.segment.timestamp.value);
      num.add(of.segment.segment_num);
      part.add(of.segment.conjoined_part);
      source.add(of.nodes.source.value);
      handoff.add(of.nodes.handoff.value);
      if (final == nullptr) {
        size.add_null();
        adler.add_null();
        hash.add_null();
      } else {
        size.add(final->file.size_bytes);
        adler.add(final->file.adler32);
        hash.add_bytes(final->file.md5);
      }
    }
    return returned_ids(statements_.exec_prepared(
      "fold_insert", id.finish(), collection.finish(), key.finish(), status.finish(), version.finish(),
      timestamp.finish(), num.finish(), part.finish(), size.finish(), adler.finish(), hash.finish(),
      source.finish(), handoff.finish(), q_collection.finish(), q_segment.finish(), q_num.finish(),
      q_file.finish(), q_offset.finish(), q_size.finish(), q_padding.finish(), q_hash.finish(),
      q_adler.finish()));
  }

  /// @returns segments that are final by a record of the stage
  ids finish_segments(const ids& fresh) {
    array_literal id, size, adler, hash, count, total;
    ids finished;
    bool any = false;
    for (const auto& [segment, index] : finals_) {
      const auto& record = std::get<final_record>(records_[index].body);
      if (const auto found = new_.find(segment);
          found != new_.end() && found->second.final == &record && fresh.contains(segment)) {
        finished.insert(segment);
        continue;
      }
      any = true;
      id.add(segment.value);
      size.add(record.file.size_bytes);
      adler.add(record.file.adler32);
      hash.add_bytes(record.file.md5);
      count.add(record.sequence_count);
      total.add(record.total_bytes);
    }
    if (any)
      finished.merge(returned_ids(statements_.exec_prepared("fold_finish_segments", id.finish(),
                                                            size.finish(), adler.finish(), hash.finish(),
                                                            count.finish(), total.finish())));
    return finished;
  }

  void insert_meta(const ids& finished) {
    array_literal collection, id, key, value, timestamp;
    bool any = false;
    for (const auto& [segment, index] : finals_) {
      if (!finished.contains(segment))
        continue;
      const auto& record = std::get<final_record>(records_[index].body);
      for (const auto& [meta_key, meta_value] : record.meta) {
        any = true;
        collection.add(record.of.segment.collection.value);
        id.add(segment.value);
        key.add_text(meta_key);
        value.add_text(meta_value);
        timestamp.add(record.of.segment.timestamp.value);
      }
    }
    if (any)
      statements_.exec_prepared("fold_insert_meta", collection.finish(), id.finish(), key.finish(),
                                value.finish(), timestamp.finish());
  }

  void tell_outcomes(const ids& fresh, const ids& finished) {
    for (const auto index : sequences_) {
      const auto& record = std::get<sequence_record>(records_[index].body);
      if (new_.contains(record.of.id) && !fresh.contains(record.of.id))
        outcomes_[index].what = kind::lost; // or applied before, which only its final tells
    }
    for (const auto& [segment, index] : finals_) {
      if (finished.contains(segment))
        continue;
      const auto& of = std::get<final_record>(records_[index].body).of;
      auto existing = load_segment(statements_.open(), of.key());
      const auto applied_before =
        existing && existing->id == segment && existing->status == segment_status::final;
      outcomes_[index] = {applied_before ? kind::applied : kind::lost, {}, std::move(existing)};
    }
  }

  transaction_statements& statements_;
  std::span<const placed_record> records_;
  std::vector<fold_outcome>& outcomes_;
  std::unordered_map<segment_id, new_segment> new_;
  std::unordered_set<segment_key> keys_; ///< of new_
  ids older_; ///< of sequences whose segments began before, if at all: they belong to none that begins here
  std::vector<std::size_t> sequences_; ///< indices of records, in log order
  std::unordered_map<segment_id, std::size_t> finals_;
  std::size_t text_bytes_ = 0; ///< about what the stage's statements take
};

/// Folds the records that are rare: one statement each.
struct fold_single {
  transaction_statements& statements;
  fold_outcome& outcome;

  /// If nothing holds the key any more.
  void forget_damage(const segment_key& key) {
    statements.exec_prepared("fold_forget_damage", key.version.value, key.conjoined_part, key.segment_num,
                             key.handoff.value);
  }

  void operator()(const sequence_record&) {}
  void operator()(const final_record&) {}

  void operator()(const cancel_record& r) {
    const auto& k = r.key;
    if (r.reason == cancel_reason::storage_fault) {
      statements.exec_prepared("fold_forget", r.id.value);
      forget_damage(k);
      return;
    }
    const auto changed = statements.exec_prepared("fold_cancel", k.version.value, k.conjoined_part,
                                                  k.segment_num, k.handoff.value, r.id.value);
    if (changed.affected_rows() != 0)
      return;
    statements.exec_prepared("fold_fence", k.version.value, k.conjoined_part, k.segment_num, k.handoff.value,
                             r.timestamp.value, r.id == segment_id{});
    if (r.id == segment_id{})
      return;
    outcome.existing = load_segment(statements.open(), k);
    if (outcome.existing && outcome.existing->status != segment_status::cancelled)
      outcome.what = kind::lost; // the attempt never had its row: what holds the key goes on
  }
  void operator()(const tombstone_record& r) {
    const auto& s = r.of.segment;
    const auto inserted = statements.exec_prepared(
      "fold_insert_tombstone", r.of.id.value, s.collection.value, s.key, s.version.value, s.timestamp.value,
      s.segment_num, s.conjoined_part, r.deletes.value, r.of.nodes.source.value, r.of.nodes.handoff.value);
    if (inserted.affected_rows() != 0)
      return;
    outcome.existing = load_segment(statements.open(), r.of.key());
    outcome.what = outcome.existing && outcome.existing->id == r.of.id ? kind::applied : kind::lost;
  }
  void operator()(const conjoined_record& r) {
    const auto when = [&](conjoined_action action) {
      return r.action == action ? std::optional(r.timestamp.value) : std::nullopt;
    };
    const auto text = [](std::optional<std::int64_t> us) { return us ? std::to_string(*us) : std::string{}; };
    const auto start = text(when(conjoined_action::start)), abort = text(when(conjoined_action::abort)),
               finish = text(when(conjoined_action::finish));
    const auto null_or = [](const std::string& s) { return s.empty() ? nullptr : s.c_str(); };
    const auto changed =
      statements.exec_prepared("fold_conjoined", r.row_id, r.collection.value, r.key, r.version.value,
                               r.handoff.value, null_or(start), null_or(abort), null_or(finish));
    if (changed.affected_rows() == 0)
      outcome.what = kind::lost; // the unified id belongs to another key
  }
  void operator()(const purge_record& r) {
    statements.exec_prepared("fold_purge", r.key.version.value, r.key.conjoined_part, r.key.segment_num,
                             r.key.handoff.value);
    forget_damage(r.key);
  }
  void operator()(const repair_record& r) {
    switch (fold_repair(statements, r)) {
      case repair_outcome::repointed: return;
      case repair_outcome::cleared: outcome = fold(statements, archive_told_by(r)).back(); return;
      case repair_outcome::over:
        outcome.what = kind::lost;
        outcome.existing = load_segment(statements.open(), r.of.key());
    }
  }
  void operator()(const collection_record& r) {
    statements.exec_prepared("fold_collection", r.collection.value, r.versioned);
  }
  void operator()(const node_record& r) {
    const auto changed = statements.exec_prepared("fold_node", r.node.value, r.name, r.host, r.port);
    if (changed.affected_rows() != 0)
      return;
    outcome.what = kind::lost;
    outcome.reason =
      fmt::format("node number {} has another name: give the new node another number", r.node.value);
  }
  void operator()(const file_space_record& r) {
    statements.exec_prepared("fold_file_space", r.space.value,
                             r.purpose == space_purpose::storage ? "storage" : "journal", r.path, r.volume,
                             r.creation_time.value);
  }
};

} // namespace

void prepare_fold(pqxx::connection_base& connection) {
  connection.prepare("fold_insert", sql_insert);
  connection.prepare("fold_finish_segments", sql_finish_segments);
  connection.prepare("fold_insert_meta", sql_insert_meta);
  connection.prepare("fold_cancel", sql_cancel);
  connection.prepare("fold_fence", sql_fence);
  connection.prepare("fold_forget", sql_forget);
  connection.prepare("fold_insert_tombstone", sql_insert_tombstone);
  connection.prepare("fold_conjoined", sql_conjoined);
  connection.prepare("fold_purge", sql_purge);
  connection.prepare("fold_forget_damage", sql_forget_damage);
  connection.prepare("fold_collection", sql_collection);
  connection.prepare("fold_node", sql_node);
  connection.prepare("fold_file_space", sql_file_space);
  connection.prepare("fold_value_file", sql_value_file);
  prepare_fold_repair(connection);
  prepare_load_segment(connection);
}

std::vector<fold_outcome> fold(transaction_statements& statements, std::span<const placed_record> records) {
  std::vector<fold_outcome> outcomes(records.size());
  stage current(statements, records, outcomes);
  for (std::size_t i = 0; i < records.size(); ++i) {
    if (const auto* sequence = std::get_if<sequence_record>(&records[i].body)) {
      current.add_sequence(i, *sequence);
    } else if (const auto* final = std::get_if<final_record>(&records[i].body)) {
      current.add_final(i, *final);
    } else {
      current.execute();
      std::visit(fold_single{statements, outcomes[i]}, records[i].body);
    }
  }
  current.execute();
  return outcomes;
}

void fold_value_files(transaction_statements& statements, std::span<const value_file_row> rows) {
  for (const auto& row : rows) {
    array_literal collections;
    for (const auto collection : row.collections)
      collections.add(collection.value);
    const auto close_time = row.close_time ? std::to_string(row.close_time->value) : std::string{};
    const auto hash = row.hash ? "\\x" + to_hex(*row.hash) : std::string{};
    const auto null_or = [](const std::string& s) { return s.empty() ? nullptr : s.c_str(); };
    statements.exec_prepared("fold_value_file", row.id.value, row.space.value, row.creation_time.value,
                             null_or(close_time), row.size_bytes, null_or(hash), row.sequence_count,
                             row.min_segment.value, row.max_segment.value, row.collections.size(),
                             collections.finish());
  }
}

} // namespace cairn
