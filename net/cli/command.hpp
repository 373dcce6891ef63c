#pragma once
/// What the commands of `cairn` share.

#include "net/cli/output.hpp"
#include "net/client.hpp"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace cairn::cli {

/// Exit codes of `cairn`; scripts rely on them.
enum class exit_code : int { done = 0, failed = 1, usage = 2, not_found = 3, damaged = 4, not_reachable = 5 };

/// Where and how a command runs.
struct context {
  caf::actor_system& system;
  host_port node;
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
struct stat_options {
  std::string key;
  std::int32_t collection = 1;
  std::uint64_t version = 0;
};

exit_code put(const context& where, const put_options& options);
exit_code get(const context& where, const get_options& options);
exit_code list(const context& where, const list_options& options);
exit_code stat(const context& where, const stat_options& options);
exit_code remove(const context& where, const remove_options& options);
exit_code add_node(const context& where, const node_options& options);
exit_code list_nodes(const context& where);
exit_code status(const context& where);
/// Lists every record of a value file; needs no node.
exit_code dump(output& out, const std::string& file);

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
