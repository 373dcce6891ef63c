#pragma once
/// The database as a fold of the log: the one function that turns records into rows, for live rounds, for
/// replay and for rebuild. See README.md beside the folder. Private to core/db.

#include "core/db/stored_segment.hpp"
#include "core/errc.hpp"
#include "core/log/record.hpp"
#include "core/log/value_file_row.hpp"

#include <span>
#include <vector>

#include <pqxx/connection_base>

namespace cairn {

class transaction_statements;

/// Prepares the statements that fold() executes.
void prepare_fold(pqxx::connection_base& connection);

/// Applies records in the order given, which is LSN order. The resulting rows depend on the records alone,
/// not on how they are cut into calls; a record that was applied before, or lost (its key is taken or
/// cancelled by an earlier one), changes nothing.
/// @returns one outcome for each record
/// @throws pqxx exceptions; the transaction is then to be aborted
std::vector<fold_outcome> fold(transaction_statements& statements, std::span<const placed_record> records);

/// Writes rows of value files, which derive from the files themselves.
void fold_value_files(transaction_statements& statements, std::span<const value_file_row> rows);

} // namespace cairn
