#include "net/unique_middleman.hpp"

#include <filesystem>
#include <fstream>
#include <string>

namespace cairn {

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

pid_t process_on_this_machine(const caf::node_id& id) {
  const auto* data = id ? dynamic_cast<const caf::node_id::default_data*>(&*id) : nullptr;
  const auto mark = machine_mark();
  if (data == nullptr || !std::equal(mark.begin(), mark.end(), data->host_id().begin()))
    return 0;
  return static_cast<pid_t>(data->process_id());
}

} // namespace cairn
