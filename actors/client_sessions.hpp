#pragma once
/// Who speaks to one node: a session for each client, with the ids that it leases.

#include "actors/interfaces.hpp"

#include <map>
#include <optional>
#include <vector>

namespace cairn {

/// One client, by the actor that it speaks through.
struct client_session {
  reply_actor reply;
  std::uint64_t client = 0; ///< counted from 1, not used twice in the node's life
  id_lease ids;             ///< no other session has a part of it
};

/// The sessions of one node. Each node leases ids of a range of its own, so that no two nodes lease the same
/// ones.
class client_sessions {
public:
  /// As many clients as a node can lease ids to.
  static constexpr std::size_t max_sessions = 1024;

  client_sessions() = default;
  /// @param node chooses the range of shards
  /// @param first_lease any number: leases of an earlier life of the node may still be in use, so begin
  /// elsewhere
  client_sessions(node_id node, std::uint32_t first_lease);

  [[nodiscard]] const client_session* find(const caf::actor_addr& client) const;

  /// @returns the next client's number and lease, without a reply actor and not kept until add(); none when
  /// max_sessions have theirs
  std::optional<client_session> next();

  /// @param client has no session
  const client_session& add(const caf::actor_addr& client, client_session session);

  /// @param gone a client, or its reply actor
  /// @returns the session that ended with it
  std::optional<client_session> remove(const caf::actor_addr& gone);

  [[nodiscard]] std::size_t size() const { return sessions_.size(); }
  [[nodiscard]] auto begin() const { return sessions_.begin(); }
  [[nodiscard]] auto end() const { return sessions_.end(); }

private:
  [[nodiscard]] id_lease ids_of(std::uint32_t lease) const;
  [[nodiscard]] std::uint32_t number_of(const id_lease& ids) const;

  std::map<caf::actor_addr, client_session> sessions_; ///< by the client's own actor
  std::uint64_t next_client_ = 1;
  std::uint32_t first_shard_ = 0;
  std::uint32_t next_lease_ = 0;                               ///< where the search for a free one begins
  std::vector<bool> leased_ = std::vector<bool>(max_sessions); ///< by the lease's number within the node
};

} // namespace cairn
