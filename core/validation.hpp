#pragma once
/// The one place where requests are checked, before anything reaches the log: ranges of every field, names of
/// nodes, sizes, and whatever the database would refuse.

#include "core/digest.hpp"
#include "core/messages.hpp"
#include "core/write/write_request.hpp"

#include <map>
#include <shared_mutex>
#include <string>

namespace cairn {

/// The cluster's nodes by name. Thread-safe.
class node_directory {
public:
  explicit node_directory(std::vector<node_record> nodes);

  /// @error unknown_node: names it
  [[nodiscard]] result<node_id> id_of(const std::string& name) const;
  /// Empty for an id that is not known.
  [[nodiscard]] std::string name_of(node_id id) const;
  /// By number.
  [[nodiscard]] std::vector<node_record> all() const;
  /// Whether a node can be added: neither number nor name belongs to another. @error invalid_message
  [[nodiscard]] result<void> check_new(const node_record& node) const;
  void add(const node_record& node);

private:
  mutable std::shared_mutex mutex_; ///< guards what follows
  std::map<node_id, node_record> by_id_;
  std::map<std::string, node_id, std::less<>> by_name_;
};

/// What checks need to know about the node.
struct validation_context {
  const node_directory& nodes;
  const node_limits& limits;
};

/// Checks a request and resolves its names.
/// @returns what the writer takes; its digests are not checked yet
/// @error invalid_message: names the field and says what fits; unknown_node; size_mismatch
result<write_operation> to_operation(archive_key_entire&& message, const validation_context& context);
result<write_operation> to_operation(archive_key_start&& message, const validation_context& context);
result<write_operation> to_operation(archive_key_next&& message, const validation_context& context);
result<write_operation> to_operation(archive_key_final&& message, const validation_context& context);

result<write_operation> to_operation(archive_key_cancel&& message, const validation_context& context);
result<write_operation> to_operation(destroy_key&& message, const validation_context& context);
template <conjoined_action Action>
result<write_operation> to_operation(conjoined_step<Action>&& message, const validation_context& context);
result<write_operation> to_operation(gateway_start&& message, const validation_context& context);
result<write_operation> to_operation(purge&& message, const validation_context& context);
result<write_operation> to_operation(add_node&& message, const validation_context& context);
result<write_operation> to_operation(sync_value_file&& message, const validation_context& context);

/// @error invalid_message, unknown_node
result<void> validate(const list_versions& message, const validation_context& context);
result<void> validate(const list_handoffs& message, const validation_context& context);
result<void> validate(const list_nodes& message, const validation_context& context);
result<void> validate(const retrieve_start& message, const validation_context& context);
result<void> validate(const lookup& message, const validation_context& context);
result<void> validate(const list_keys& message, const validation_context& context);
result<void> validate(const envelope& env);
/// Its sizes; whether client and node fit each other is the node's to judge.
result<void> validate(const hello& message);

result<segment_key> resolve(const named_segment_key& key, const validation_context& context);

/// Digests the data and compares them with what the message says.
/// @returns what they will be verified with. @error md5_mismatch, adler32_mismatch
result<data_checksums> check_digests(const sequence_info& expected, const payload& data);
result<data_checksums> compare_digests(const sequence_info& expected, payload_digests digests);

} // namespace cairn
