#pragma once
/// CAF's middleman, with a node id of the process's own. CAF makes its id of MAC addresses, the root file
/// system's UUID and the process number: two containers on one machine may share all three. CAF takes a peer
/// that bears a known id for that node, so one client would get the other's replies.

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <random>
#include <stdexcept>
#include <vector>

#include <caf/actor_system.hpp>
#include <caf/binary_deserializer.hpp>
#include <caf/binary_serializer.hpp>
#include <caf/io/middleman.hpp>
#include <caf/io/network/default_multiplexer.hpp>
#include <caf/node_id.hpp>
#include <unistd.h>

namespace cairn {

/// What is the same in all processes that see each other by their process numbers, and in no others: at the
/// begin of the node ids of this machine.
std::array<std::uint8_t, 8> machine_mark();

/// The process that a node id stands for, if it is on this machine; else 0.
pid_t process_on_this_machine(const caf::node_id& id);

class unique_middleman final : public caf::io::middleman {
public:
  explicit unique_middleman(caf::actor_system& system) : middleman(system), backend_(&system) {}
  static caf::actor_system::module* make(caf::actor_system& system, caf::detail::type_list<>) {
    return new unique_middleman(system);
  }

  caf::io::network::multiplexer& backend() override { return backend_; }

  /// CAF calls it before it starts an actor or a thread, so nobody has seen the id that is replaced.
  void init(caf::actor_system_config& config) override {
    middleman::init(config);
    replace_node_id();
  }

private:
  /// The system's id can be had as a copy only, but copies share what they refer to, and decoding replaces it
  /// in place.
  void replace_node_id() {
    const auto unique = random_node_id();
    std::vector<char> bytes;
    caf::binary_serializer out(nullptr, bytes);
    auto shared = this->system().node();
    if (out(unique))
      throw std::runtime_error("CAF does not write a node id");
    caf::binary_deserializer written(nullptr, bytes);
    if (written(shared) || this->system().node() != unique)
      throw std::runtime_error("CAF does not let its node id be replaced");
  }

  /// 96 random bits, and what process_on_this_machine() tells.
  static caf::node_id random_node_id() {
    std::random_device random;
    caf::node_id::default_data::host_id_type host{};
    const auto mark = machine_mark();
    std::copy(mark.begin(), mark.end(), host.begin());
    for (auto at = mark.size(); at < host.size(); at += sizeof(std::uint32_t)) {
      const std::uint32_t word = random();
      std::memcpy(host.data() + at, &word, sizeof word);
    }
    return caf::make_node_id(static_cast<std::uint32_t>(::getpid()), host);
  }

  caf::io::network::default_multiplexer backend_;
};

} // namespace cairn
