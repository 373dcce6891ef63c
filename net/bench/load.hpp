#pragma once
/// Load on a node: clients that archive, read, or both, as fast as the node answers, each answer checked.

#include "actors/interfaces.hpp"
#include "net/bench/latency_histogram.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <caf/actor_system.hpp>

namespace cairn::bench {

enum class load_mode : std::uint8_t {
  put,   ///< new objects
  get,   ///< objects archived beforehand, chosen at random
  mixed, ///< one or the other, by a coin
};

/// Of clients, and of messages that one has in flight.
inline constexpr std::uint32_t max_load_width = 10'000;

struct load_options {
  load_mode mode = load_mode::put;
  std::uint32_t sequence_bytes = 4096; ///< 1..the node's max_sequence_bytes
  std::int32_t sequences = 1;          ///< of an object; 1 = sent whole
  std::uint32_t concurrency = 64;      ///< clients, each with its own hello
  std::uint32_t in_flight = 1;         ///< messages under way of each client
  std::uint32_t range_bytes = 0;       ///< read that much at a random place; 0 = all. With sequences = 1
  std::uint64_t objects = 0;           ///< archived beforehand to be read; 0 = 32 for each client
  std::chrono::milliseconds duration{10'000};
  std::string key_prefix = "bench/"; ///< of keys that nobody else uses
  std::int32_t collection = 1;
};

/// @error invalid_message: options that do not fit together
result<void> check(const load_options& options);

struct load_result {
  std::uint64_t puts = 0; ///< objects, durable
  std::uint64_t gets = 0; ///< objects or ranges, each byte compared
  std::uint64_t put_bytes = 0;
  std::uint64_t get_bytes = 0;
  std::chrono::duration<double> elapsed{}; ///< without what was archived beforehand
  latency_histogram put_latency;           ///< of an object, from its first message to its last answer
  latency_histogram get_latency;

  void add(const load_result& other);
};

/// A handle of the node, and the actor system in which clients that use it live.
struct load_target {
  caf::actor_system* system = nullptr;
  storage_node_actor node;
};

/// Blocks while clients, evenly on the targets, do what the options say. Digests of what they send are made
/// beforehand: what is measured is the node and the way to it.
/// @param on_begin called when everything is prepared, before the time begins
/// @error invalid_message: options that do not fit together, or not the node's limits; what the node
/// answered, of the first request that failed; timed_out
result<load_result> run_load(
  const std::vector<load_target>& targets, const load_options& options,
  const std::function<void()>& on_begin = [] {});

} // namespace cairn::bench
