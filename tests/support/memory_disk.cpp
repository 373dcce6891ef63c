#include "tests/support/memory_disk.hpp"

#include "tests/support/memory_disk_state.hpp"
#include "tests/support/memory_file.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace cairn {

memory_disk::memory_disk(std::uint64_t capacity_bytes) : state_(std::make_shared<memory_disk_state>()) {
  state_->volumes.push_back(std::make_shared<memory_volume>(memory_volume{capacity_bytes, 0}));
  state_->root = std::make_shared<memory_node>();
  state_->root->kind = memory_node_kind::directory;
  state_->root->volume = state_->volumes.front();
}

memory_disk::~memory_disk() = default;

result<std::unique_ptr<disk_file>> memory_disk::create(const std::string& path, io_mode mode) {
  std::lock_guard guard(state_->mutex);
  if (auto outcome = state_->begin(disk_operation::create, path); !outcome)
    return pass_failure(outcome);
  auto place = state_->locate(path, last_symlink::keep);
  if (!place)
    return pass_failure(place);
  if (place->node)
    return fail(errc::conflict, fmt::format("{}: create failed: it exists", path));
  return std::make_unique<memory_file>(state_, memory_disk_state::make_node(memory_node_kind::file, *place),
                                       path, file_access::write, mode);
}

result<std::unique_ptr<disk_file>> memory_disk::open_for_read(const std::string& path) {
  std::lock_guard guard(state_->mutex);
  if (auto outcome = state_->begin(disk_operation::open, path); !outcome)
    return pass_failure(outcome);
  auto node = state_->find_file(path);
  if (!node)
    return pass_failure(node);
  return std::make_unique<memory_file>(state_, *node, path, file_access::read, io_mode::buffered);
}

result<std::unique_ptr<disk_file>> memory_disk::open_for_repair(const std::string& path) {
  std::lock_guard guard(state_->mutex);
  if (auto outcome = state_->begin(disk_operation::open, path); !outcome)
    return pass_failure(outcome);
  auto node = state_->find_file(path);
  if (!node)
    return pass_failure(node);
  return std::make_unique<memory_file>(state_, *node, path, file_access::repair, io_mode::buffered);
}

result<bool> memory_disk::make_directory(const std::string& path) {
  std::lock_guard guard(state_->mutex);
  if (auto outcome = state_->begin(disk_operation::make_directory, path); !outcome)
    return pass_failure(outcome);
  auto place = state_->locate(path, last_symlink::keep);
  if (!place)
    return pass_failure(place);
  if (place->node && !state_->find_directory(path))
    return fail(errc::conflict,
                fmt::format("{}: make_directory failed: it exists and is no directory", path));
  if (place->node)
    return false;
  memory_disk_state::make_node(memory_node_kind::directory, *place);
  return true;
}

result<void> memory_disk::sync_directory(const std::string& path) {
  std::lock_guard guard(state_->mutex);
  const bool has_power = state_->has_power();
  auto outcome = state_->begin(disk_operation::sync_directory, path);
  auto node = state_->find_directory(path);
  if (outcome && !node)
    return pass_failure(node);
  if (outcome)
    (*node)->entries.sync();
  else if (node && has_power)
    (*node)->entries.fail_sync();
  return outcome;
}

result<std::vector<directory_entry>> memory_disk::list_directory(const std::string& path) {
  std::lock_guard guard(state_->mutex);
  if (auto outcome = state_->begin(disk_operation::list_directory, path); !outcome)
    return pass_failure(outcome);
  auto node = state_->find_directory(path);
  if (!node)
    return pass_failure(node);
  std::vector<directory_entry> entries;
  for (const auto& [name, entry] : (*node)->entries.visible())
    entries.push_back({name, state_->find_directory(path + "/" + name).has_value()});
  return entries;
}

result<void> memory_disk::remove(const std::string& path) {
  std::lock_guard guard(state_->mutex);
  if (auto outcome = state_->begin(disk_operation::remove, path); !outcome)
    return outcome;
  auto place = state_->locate_existing(path);
  if (!place)
    return pass_failure(place);
  if (place->node->kind == memory_node_kind::directory)
    return fail(errc::storage_error, fmt::format("{}: remove failed: it is a directory", path));
  place->directory->entries.erase(place->name);
  place->node->is_linked = false;
  place->node->charge();
  return {};
}

result<void> memory_disk::remove_directory(const std::string& path) {
  std::lock_guard guard(state_->mutex);
  if (auto outcome = state_->begin(disk_operation::remove_directory, path); !outcome)
    return outcome;
  auto place = state_->locate_existing(path);
  if (!place)
    return pass_failure(place);
  if (place->node->kind != memory_node_kind::directory || !place->node->entries.visible().empty())
    return fail(errc::conflict, fmt::format("{}: remove_directory failed: it is no empty directory", path));
  place->directory->entries.erase(place->name);
  return {};
}

result<void> memory_disk::make_symlink(const std::string& target, const std::string& path) {
  std::lock_guard guard(state_->mutex);
  if (auto outcome = state_->begin(disk_operation::make_symlink, path); !outcome)
    return outcome;
  auto place = state_->locate(path, last_symlink::keep);
  if (!place)
    return pass_failure(place);
  if (place->node)
    return fail(errc::conflict, fmt::format("{}: make_symlink failed: it exists", path));
  memory_disk_state::make_node(memory_node_kind::symlink, *place)->target = target;
  return {};
}

result<std::string> memory_disk::read_symlink(const std::string& path) {
  std::lock_guard guard(state_->mutex);
  if (auto outcome = state_->begin(disk_operation::read_symlink, path); !outcome)
    return pass_failure(outcome);
  auto place = state_->locate(path, last_symlink::keep);
  if (!place)
    return pass_failure(place);
  if (!place->node)
    return fail(errc::not_found, fmt::format("{}: read_symlink failed: it does not exist", path));
  if (place->node->kind != memory_node_kind::symlink)
    return fail(errc::conflict, fmt::format("{}: read_symlink failed: it is no symlink", path));
  return place->node->target;
}

result<volume_space> memory_disk::space_at(const std::string& path) {
  std::lock_guard guard(state_->mutex);
  if (auto outcome = state_->begin(disk_operation::space_at, path); !outcome)
    return pass_failure(outcome);
  auto node = state_->find(path);
  if (!node)
    return pass_failure(node);
  const auto& volume = *(*node)->volume;
  return volume_space{volume.capacity_bytes - std::min(volume.capacity_bytes, volume.used_bytes),
                      volume.capacity_bytes};
}

// -- set-up and inspection

void memory_disk::set_up_directory(const std::string& path) {
  std::lock_guard guard(state_->mutex);
  std::string prefix;
  for (const auto& part : components_of(path)) {
    const auto parent = state_->find_directory(prefix.empty() ? "/" : prefix);
    prefix += "/" + part;
    auto place = state_->locate(prefix, last_symlink::follow);
    if (!parent || !place || (place->node && place->node->kind != memory_node_kind::directory))
      die(fmt::format("{}: cannot be set up as a directory", path));
    if (!place->node)
      memory_disk_state::make_node(memory_node_kind::directory, *place);
    (*parent)->entries.sync();
  }
}

void memory_disk::set_up_volume(const std::string& path, std::uint64_t capacity_bytes) {
  set_up_directory(path);
  std::lock_guard guard(state_->mutex);
  state_->volumes.push_back(std::make_shared<memory_volume>(memory_volume{capacity_bytes, 0}));
  (*state_->find_directory(path))->volume = state_->volumes.back();
}

void memory_disk::set_capacity(const std::string& path, std::uint64_t capacity_bytes) {
  std::lock_guard guard(state_->mutex);
  auto node = state_->find(path);
  if (!node)
    die(fmt::format("{}: it does not exist", path));
  (*node)->volume->capacity_bytes = capacity_bytes;
}

void memory_disk::inject(disk_fault fault) {
  if (fault.nth == 0 || fault.times == 0)
    die("a fault's nth and times count from 1");
  std::lock_guard guard(state_->mutex);
  state_->faults.push_back(std::move(fault));
}

void memory_disk::clear_faults() {
  std::lock_guard guard(state_->mutex);
  state_->faults.clear();
}

std::size_t memory_disk::faults_left() const {
  std::lock_guard guard(state_->mutex);
  return state_->faults.size();
}

void memory_disk::crash(std::uint64_t seed) {
  std::lock_guard guard(state_->mutex);
  state_->crash(crash_dice(crash_policy::by_chance, seed));
}

void memory_disk::crash_losing_unsynced() {
  std::lock_guard guard(state_->mutex);
  state_->crash(crash_dice(crash_policy::lose_all, 0));
}

void memory_disk::kill_process() {
  std::lock_guard guard(state_->mutex);
  ++state_->boot;
  for (const auto& node : state_->opened) {
    node->open_handles = 0;
    node->charge();
  }
  state_->opened.clear();
}

void memory_disk::cut_power_after(std::uint64_t operations) {
  std::lock_guard guard(state_->mutex);
  state_->fuse = operations;
}

bool memory_disk::power_is_cut() const {
  std::lock_guard guard(state_->mutex);
  return !state_->has_power();
}

std::uint64_t memory_disk::count(disk_operation operation) const {
  std::lock_guard guard(state_->mutex);
  return state_->counts[static_cast<std::size_t>(operation)];
}

std::uint64_t memory_disk::count_all() const {
  std::lock_guard guard(state_->mutex);
  std::uint64_t sum = 0;
  for (const auto each : state_->counts)
    sum += each;
  return sum;
}

std::vector<std::byte> memory_disk::synced_bytes(const std::string& path) const {
  std::lock_guard guard(state_->mutex);
  return state_->require_file(path)->content.durable();
}

bool memory_disk::has_file(const std::string& path) const {
  std::lock_guard guard(state_->mutex);
  return state_->find_file(path).has_value();
}

void memory_disk::damage(const std::string& path,
                         const std::function<void(std::vector<std::byte>&)>& change) {
  std::lock_guard guard(state_->mutex);
  auto node = state_->require_file(path);
  auto bytes = node->content.visible();
  change(bytes);
  node->content.damage(std::move(bytes));
  node->charge();
}

void memory_disk::make_unreadable(const std::string& path, std::uint64_t offset, std::uint64_t bytes) {
  std::lock_guard guard(state_->mutex);
  state_->require_file(path)->unreadable.emplace_back(offset, offset + bytes);
}

} // namespace cairn
