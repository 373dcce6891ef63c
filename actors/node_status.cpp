#include "actors/node_status.hpp"

#include "core/version.hpp"

namespace cairn {

status_reply describe_node(const storage_node_state& node, const get_status& message,
                           std::chrono::steady_clock::time_point now) {
  using namespace std::chrono;
  const auto& vitals = *node.vitals;
  status_reply reply;
  reply.env = message.env;
  reply.phase = node.phase;
  reply.waits_for = node.waits_for;
  reply.cluster = node.options.settings.cluster_name;
  reply.node = node.options.settings.node_name;
  reply.program_version = program_version;
  reply.uptime_seconds = duration_cast<seconds>(now - node.started).count();
  reply.clients = static_cast<std::int64_t>(node.sessions.size());
  reply.active_segments = vitals.active_segments;
  reply.completions_waiting = vitals.completions_waiting;
  if (const auto waiting_since_us = vitals.oldest_wait_since_us.load(); waiting_since_us != 0)
    reply.oldest_wait_us = duration_cast<microseconds>(now.time_since_epoch()).count() - waiting_since_us;
  reply.rounds = vitals.rounds;
  reply.archives = vitals.archives;
  reply.bytes_archived = vitals.bytes_archived;
  reply.position = log_sequence_number{vitals.acknowledged_lsn.load()};
  reply.value_file = value_file_id{vitals.value_file.load()};
  reply.value_file_bytes = vitals.value_file_bytes;
  reply.has_space = vitals.has_space;
  reply.database = vitals.database();
  reply.actor_restarts = node.restart_count;
  reply.recovery = node.recovery;
  if (node.store) {
    reply.spaces = node.store->space_states();
    if (const auto trouble = node.store->database_trouble(); !trouble.empty())
      reply.database = trouble;
  }
  return reply;
}

} // namespace cairn
