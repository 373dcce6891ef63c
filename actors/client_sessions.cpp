#include "actors/client_sessions.hpp"

#include <algorithm>

namespace cairn {

namespace {

constexpr std::uint32_t nodes_with_own_shards = 64;
constexpr std::uint32_t shards_per_node = shard_count / nodes_with_own_shards;
/// A client's share of a shard: 128 ids in each millisecond.
constexpr std::uint32_t leases_per_shard = 8;
constexpr std::uint32_t counters_per_lease = counters_per_millisecond / leases_per_shard;
static_assert(shards_per_node * leases_per_shard == client_sessions::max_sessions);

} // namespace

client_sessions::client_sessions(node_id node, std::uint32_t first_lease)
    : first_shard_(static_cast<std::uint32_t>(node.value - 1) % nodes_with_own_shards * shards_per_node),
      next_lease_(first_lease % max_sessions) {}

const client_session* client_sessions::find(const caf::actor_addr& client) const {
  const auto found = sessions_.find(client);
  return found == sessions_.end() ? nullptr : &found->second;
}

std::optional<client_session> client_sessions::next() {
  for (std::uint32_t i = 0; i < max_sessions; ++i) {
    const auto lease = next_lease_;
    next_lease_ = (next_lease_ + 1) % max_sessions;
    if (!leased_[lease])
      return client_session{{}, next_client_++, ids_of(lease)};
  }
  return std::nullopt;
}

id_lease client_sessions::ids_of(std::uint32_t lease) const {
  return {shard_number{static_cast<std::int32_t>(first_shard_ + lease % shards_per_node)},
          static_cast<std::int32_t>(lease / shards_per_node * counters_per_lease), counters_per_lease};
}

std::uint32_t client_sessions::number_of(const id_lease& ids) const {
  return static_cast<std::uint32_t>(ids.first_counter) / counters_per_lease * shards_per_node
         + static_cast<std::uint32_t>(ids.shard.value) - first_shard_;
}

const client_session& client_sessions::add(const caf::actor_addr& client, client_session session) {
  leased_[number_of(session.ids)] = true;
  return sessions_.insert_or_assign(client, std::move(session)).first->second;
}

std::optional<client_session> client_sessions::remove(const caf::actor_addr& gone) {
  const auto found = std::find_if(sessions_.begin(), sessions_.end(), [&](const auto& entry) {
    return entry.first == gone || entry.second.reply.address() == gone;
  });
  if (found == sessions_.end())
    return std::nullopt;
  leased_[number_of(found->second.ids)] = false;
  return std::move(sessions_.extract(found).mapped());
}

} // namespace cairn
