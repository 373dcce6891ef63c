#pragma once
/// A node's PostgreSQL database that can lose power. The server does not crash: it is told to go back to the
/// commits that a crash would have left.
///
/// PostgreSQL writes its log in order. What a crash leaves is all commits up to some point, and that point
/// does not lie before the last one that waited for the disk (synchronous_commit = on). The server says how
/// far its log is flushed, so each commit that waited is noticed; a transaction held open in REPEATABLE READ
/// keeps the sight of the database at that moment, and a crash writes this sight back.

#include <memory>
#include <string>

namespace cairn::power {

/// One database for the whole program, begun anew for each run. Not thread-safe. @throws std::exception: the
/// server is gone, or a defect of the test
class flushed_database {
public:
  /// Starts the server and has the product make its schema.
  flushed_database();
  ~flushed_database();
  flushed_database(const flushed_database&) = delete;
  flushed_database& operator=(const flushed_database&) = delete;

  /// As after the schema was made: no node has been in it. @pre no node is connected, as in lose_power()
  void begin_anew();
  /// Call it between a commit that waited for the disk and the next one: all up to here survives a crash.
  void observe();
  /// The server flushes by itself, as it does now and then: all up to here survives a crash.
  void flush();
  /// Power is lost: what was committed after the last flush is undone.
  /// @returns by how many numbers the log position fell back
  std::uint64_t lose_power();

  [[nodiscard]] const std::string& connection_string() const { return connection_string_; }

private:
  struct session;

  std::string connection_string_;
  std::unique_ptr<session> session_;
};

} // namespace cairn::power
