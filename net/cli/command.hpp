#pragma once
/// What the commands of `cairn` share.

#include "net/cli/output.hpp"
#include "net/client.hpp"
#include "net/network.hpp"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace cairn::cli {

/// Exit codes of `cairn`; scripts rely on them.
enum class exit_code : int { done = 0, failed = 1, usage = 2, not_found = 3, damaged = 4, not_reachable = 5 };

/// Where and how a command runs.
struct context {
  network& net;
  node_address node;
  output& out;
};

struct put_options {
  std::string file; ///< "-" = standard input
  std::string key;  ///< empty = the file's name
  std::int32_t collection = 1;
  std::vector<std::string> meta; ///< k=v
  std::string part_size;         ///< empty = one archive; else a conjoined archive of parts of this size
};
struct get_options {
  std::string key;
  std::string file = "-"; ///< "-" = standard output
  std::int32_t collection = 1;
  std::uint64_t version = 0; ///< 0 = the newest
  std::string range;         ///< "first-last", both included; empty = all
};
struct list_options {
  std::string prefix;
  std::int32_t collection = 1;
  bool versions = false; ///< every visible version, not the newest of each key alone
};
struct remove_options {
  std::string key;
  std::int32_t collection = 1;
  std::uint64_t version = 0; ///< 0 = all
};
struct node_options {
  std::int32_t number = 0;
  std::string name;
  std::string address; ///< HOST:PORT; may be empty
};
/// Of commands that work on a node's directory, not through the node.
struct offline_options {
  std::string data_directory;
  std::string database;    ///< empty = the node's own PostgreSQL
  bool new_server = false; ///< rebuild
  std::string rate;        ///< verify: bytes a second, as "100MiB"; empty = as fast as it goes
  std::string state;       ///< verify: file that tells what an interrupted run has done; empty = none
};
struct stat_options {
  std::string key;
  std::int32_t collection = 1;
  std::uint64_t version = 0;
};

/// Of a measurement; what it means: net/bench/load.hpp.
struct bench_options {
  std::string mode = "put";
  std::string size = "4k";
  std::int32_t sequences = 1;
  std::uint32_t concurrency = 64;
  std::uint32_t in_flight = 1;
  std::uint32_t connections = 1;
  std::string range = "0"; ///< get: read that much of each object; 0 = all
  std::uint64_t objects = 0;
  double seconds = 10;
  std::int32_t collection = 1;
  std::string reference_directory; ///< empty = the node's own, if it is here
};

exit_code put(const context& where, const put_options& options);
exit_code get(const context& where, const get_options& options);
exit_code list(const context& where, const list_options& options);
exit_code stat(const context& where, const stat_options& options);
exit_code remove(const context& where, const remove_options& options);
exit_code add_node(const context& where, const node_options& options);
exit_code list_nodes(const context& where);
exit_code status(const context& where);
/// Measures a node under load, beside what the machine does without it. @param transport for further
/// connections
exit_code bench(const context& where, const bench_options& options, const transport_options& transport);
/// Lists every record of a value file; needs no node.
exit_code dump(output& out, const std::string& file);
/// Makes a new database from the value files of a node that does not run.
exit_code rebuild(output& out, const offline_options& options);
/// Proves the database against the value files; the node may run meanwhile.
exit_code verify(output& out, const offline_options& options);

/// Asks the host itself for its nodes, or says on standard error why there is no answer.
std::optional<hosted_nodes> ask_host(const context& where, exit_code& code);
/// Lists the nodes of a host that has none of its own.
exit_code show_host(const context& where, const hosted_nodes& host);

/// Connects, or says on standard error why not.
std::unique_ptr<client> connect(const context& where, exit_code& code);

/// Says what failed in one line. @returns the exit code that goes with it
exit_code report(output& out, const call_failure& failure);
exit_code report(output& out, errc code, const std::string& message);

/// The reply of a call, or the exit code after its failure was reported.
template <class Reply>
std::optional<Reply> take(output& out, call_result<Reply> answered, exit_code& code) {
  if (!answered) {
    code = report(out, answered.error());
    return std::nullopt;
  }
  if (answered->result != errc::success) {
    code = report(out, answered->result, answered->error_message);
    return std::nullopt;
  }
  return std::move(*answered);
}

} // namespace cairn::cli
