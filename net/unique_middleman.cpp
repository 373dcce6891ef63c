#include "net/unique_middleman.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include <caf/binary_deserializer.hpp>
#include <caf/binary_serializer.hpp>
#include <unistd.h>

namespace cairn {

namespace {

/// What is the same in all processes that see each other by their process numbers, and in no others: at the
/// begin of the node ids of this machine.
std::array<std::uint8_t, 8> machine_mark() {
  std::string machine;
  std::ifstream("/proc/sys/kernel/random/boot_id") >> machine;
  std::error_code unknown;
  machine += std::filesystem::read_symlink("/proc/self/ns/pid", unknown).string();
  std::uint64_t hash = 14'695'981'039'346'656'037U; // FNV-1a: the same in every build
  for (const auto character : machine)
    hash = (hash ^ static_cast<std::uint8_t>(character)) * 1'099'511'628'211U;
  std::array<std::uint8_t, 8> mark{};
  std::memcpy(mark.data(), &hash, sizeof hash);
  return mark;
}

/// 96 random bits, and what process_on_this_machine() tells.
caf::node_id random_node_id() {
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

} // namespace

pid_t process_on_this_machine(const caf::node_id& id) {
  const auto* data = id ? dynamic_cast<const caf::node_id::default_data*>(&*id) : nullptr;
  const auto mark = machine_mark();
  if (data == nullptr || !std::equal(mark.begin(), mark.end(), data->host_id().begin()))
    return 0;
  return static_cast<pid_t>(data->process_id());
}

/// The system's id can be had as a copy only, but copies share what they refer to, and decoding replaces it
/// in place.
void unique_middleman::replace_node_id() {
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

} // namespace cairn
