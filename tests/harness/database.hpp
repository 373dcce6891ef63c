#pragma once
/// The PostgreSQL that a node runs for itself in its data directory, as a test sees and ends it.

#include <string>

#include <sys/types.h>

namespace cairn::harness {

/// Its connection string.
std::string database_of(const std::string& data_directory);
/// Its postmaster. @throws harness_error when there is none
pid_t postgres_pid_of(const std::string& data_directory);
/// Ends it as a crash would (kill -9); a node that lives starts another. @throws harness_error
void lose_database_of(const std::string& data_directory);
/// Ends what the node in this directory, or in one below it, may have left behind when it was killed.
void end_databases_below(const std::string& directory);

} // namespace cairn::harness
