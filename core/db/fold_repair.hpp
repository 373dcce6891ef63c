#pragma once
/// What a repair record does to rows. Private to core/db.

#include "core/log/record.hpp"

#include <vector>

#include <pqxx/connection_base>

namespace cairn {

class transaction_statements;

/// Prepares the statements that fold_repair() executes.
void prepare_fold_repair(pqxx::connection_base& connection);

enum class repair_outcome {
  repointed, ///< the segment's rows have the new places
  cleared,   ///< the log did not tell of the segment otherwise: nothing holds its key now, it is to be made
  over,      ///< the segment is cancelled, or its number another's: nothing was changed
};

/// Points the segment's rows to the new bytes, or makes room for the segment where it has none, and forgets
/// what was known to be damaged of it. A segment is repaired only while its final holds the key. So what else
/// holds it comes from attempts that would have lost if the segment's first records were not, and goes.
/// @throws pqxx exceptions
repair_outcome fold_repair(transaction_statements& statements, const repair_record& repair);

/// The records of an archive that was stored at the repair's places.
std::vector<placed_record> archive_told_by(const repair_record& repair);

} // namespace cairn
