#pragma once
/// A node on one directory and one database that is stopped, or ended abruptly, and started again.

#include "tests/harness/local_node.hpp"
#include "tests/harness/program.hpp"
#include "tests/model/contract_model.hpp"
#include "tests/support/test_database.hpp"

#include <memory>
#include <string>

namespace cairn::model {

class node_under_test {
public:
  /// @throws harness_error when it does not start, likewise below
  node_under_test();
  ~node_under_test();
  node_under_test(const node_under_test&) = delete;
  node_under_test& operator=(const node_under_test&) = delete;

  client& by() { return *client_; }
  /// Sends a message; call what is returned for the reply.
  pending_reply<archive_reply> send(const operation& message);
  /// Both end the node while messages are in flight, collect their replies, and start it again. A reply is
  /// none when the client cannot know what became of its message.
  std::vector<std::optional<archive_reply>>
  stop_and_start(std::vector<pending_reply<archive_reply>>& in_flight);
  /// @param torn_bytes garbage behind the end of the log, as of a write that was cut
  std::vector<std::optional<archive_reply>>
  crash_and_start(std::vector<pending_reply<archive_reply>>& in_flight, std::size_t torn_bytes);

private:
  void start();
  /// The database agrees with the value files. @throws harness_error with what does not
  void verify() const;
  /// A database made of the value files alone has the same rows; the node goes on with it.
  void rebuild();
  std::vector<std::optional<archive_reply>> collect(std::vector<pending_reply<archive_reply>>& in_flight);
  void tear_last_file(std::size_t bytes) const;

  harness::scratch_directory directory_;
  std::unique_ptr<test_database> database_ = std::make_unique<test_database>();
  int stops_ = 0;
  std::unique_ptr<harness::local_node> node_;
  std::unique_ptr<client> client_;
};

} // namespace cairn::model
