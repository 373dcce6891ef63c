#pragma once
/// Loads a segment's rows. Private to core/db and core/read.

#include "core/db/stored_segment.hpp"

#include <optional>
#include <string>
#include <string_view>

#include <pqxx/connection_base>

namespace pqxx {
class field;
class row;
class transaction_base;
} // namespace pqxx

namespace cairn {

/// A digest column; zeros for NULL.
md5_digest as_md5(const pqxx::field& field);

/// Prepares what load_segment() and load_meta() execute.
void prepare_load_segment(pqxx::connection_base& connection);

/// A statement whose rows take_segment() takes.
/// @param condition on row s of table segment, and what may follow it
std::string select_segment(std::string_view condition);
/// How many columns it has.
inline constexpr int segment_column_count = 23;
/// The columns of table segment alone, which come first, without NULL but for the digest: no sequences, no
/// metadata.
stored_segment as_segment(const pqxx::row& row);
/// A row's segment; none when it was purged in the meantime. Sequences beyond the first, and metadata, are
/// loaded where there are any: on a connection after prepare_load_segment().
/// @throws pqxx exceptions
std::optional<stored_segment> take_segment(pqxx::transaction_base& transaction, const pqxx::row& row);

/// @throws pqxx exceptions
metadata load_meta(pqxx::transaction_base& transaction, segment_id segment);

/// The row that holds a segment key and is not cancelled.
/// @throws pqxx exceptions
std::optional<stored_segment> load_live_segment(pqxx::transaction_base& transaction, const segment_key& key);
/// What holds a segment key: the row that is not cancelled, else the newest cancelled one; a fence counts as
/// a cancelled row with id 0.
/// @throws pqxx exceptions
std::optional<stored_segment> load_segment(pqxx::transaction_base& transaction, const segment_key& key);

/// Adds a sequence to what damaged_segment knows of its segment, if its row points to these very bytes. The
/// row's status tells what was found last.
/// @throws pqxx exceptions
void insert_damaged(pqxx::transaction_base& transaction, const segment_info& segment,
                    const stored_sequence& sequence, damage what = damage::defective);
/// Adds all sequences of final segments whose rows point there.
/// @returns how many segments were not known to have lost so much. @throws pqxx exceptions
std::int64_t insert_lost(pqxx::transaction_base& transaction, const lost_bytes& lost);

} // namespace cairn
