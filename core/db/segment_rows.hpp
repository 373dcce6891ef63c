#pragma once
/// Loads a segment's rows. Private to core/db.

#include "core/db/stored_segment.hpp"

#include <optional>
#include <span>

#include <pqxx/connection_base>

namespace pqxx {
class field;
class transaction_base;
} // namespace pqxx

namespace cairn {

/// A digest column; zeros for NULL.
md5_digest as_md5(const pqxx::field& field);

/// Prepares what load_segment() executes.
void prepare_load_segment(pqxx::connection_base& connection);

/// What holds a segment key: the row that is not cancelled, else the newest cancelled one; a fence counts as
/// a cancelled row with id 0.
/// @throws pqxx exceptions
std::optional<stored_segment> load_segment(pqxx::transaction_base& transaction, const segment_key& key);

/// Adds sequences to what damaged_segment knows of a segment.
/// @throws pqxx exceptions
void insert_damaged(pqxx::transaction_base& transaction, const segment_info& segment,
                    std::span<const std::int32_t> sequence_numbers);

} // namespace cairn
