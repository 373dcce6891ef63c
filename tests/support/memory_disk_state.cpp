#include "tests/support/memory_disk_state.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include <fmt/format.h>

namespace cairn {

namespace {

constexpr int max_symlinks = 40;

} // namespace

void die(const std::string& message) {
  fmt::print(stderr, "memory_disk: {}\n", message);
  std::fflush(stderr);
  std::abort();
}

std::vector<std::string> components_of(const std::string& path) {
  std::vector<std::string> parts;
  std::size_t begin = 0;
  while (begin <= path.size()) {
    const auto end = std::min(path.find('/', begin), path.size());
    if (auto part = path.substr(begin, end - begin); !part.empty() && part != ".")
      parts.push_back(std::move(part));
    begin = end + 1;
  }
  return parts;
}

std::string_view to_string(disk_operation operation) {
  switch (operation) {
    case disk_operation::create: return "create";
    case disk_operation::open: return "open";
    case disk_operation::write: return "write";
    case disk_operation::sync: return "sync";
    case disk_operation::read: return "read";
    case disk_operation::size: return "size";
    case disk_operation::preallocate: return "preallocate";
    case disk_operation::release_preallocation: return "release_preallocation";
    case disk_operation::make_directory: return "make_directory";
    case disk_operation::sync_directory: return "sync_directory";
    case disk_operation::list_directory: return "list_directory";
    case disk_operation::remove: return "remove";
    case disk_operation::remove_directory: return "remove_directory";
    case disk_operation::make_symlink: return "make_symlink";
    case disk_operation::read_symlink: return "read_symlink";
    case disk_operation::space_at: return "space_at";
  }
  return "unknown_operation";
}

result<void> memory_disk_state::begin(disk_operation operation, const std::string& path,
                                      std::uint64_t* written_bytes) {
  if (!has_power())
    return fail(errc::storage_error, fmt::format("{}: {} failed: power is cut", path, to_string(operation)));
  if (fuse)
    --*fuse;
  ++counts[static_cast<std::size_t>(operation)];
  std::optional<disk_fault> struck;
  for (auto& fault : faults) {
    if (fault.operation != operation || path.find(fault.path_contains) == std::string::npos)
      continue;
    if (fault.nth > 1) {
      --fault.nth;
    } else if (!struck) {
      struck = fault;
      if (fault.times != disk_fault::forever)
        --fault.times;
    }
  }
  std::erase_if(faults, [](const disk_fault& fault) { return fault.times == 0; });
  if (!struck)
    return {};
  if (written_bytes != nullptr)
    *written_bytes = struck->written_bytes;
  return fail(struck->code, fmt::format("{}: {} failed: injected fault", path, to_string(operation)));
}

result<location> memory_disk_state::locate(const std::string& path, last_symlink last) const {
  auto parts = components_of(path);
  std::reverse(parts.begin(), parts.end()); // the next one is at the back
  std::vector<memory_node_ptr> way{root};
  std::string name;
  int symlinks = 0;
  while (!parts.empty()) {
    name = std::move(parts.back());
    parts.pop_back();
    if (way.back()->kind != memory_node_kind::directory)
      return fail(errc::not_found, fmt::format("{}: {} is below what is no directory", path, name));
    if (name == "..") {
      if (way.size() > 1)
        way.pop_back();
      continue;
    }
    auto node = way.back()->entries.find(name);
    if (node && node->kind == memory_node_kind::symlink && (!parts.empty() || last == last_symlink::follow)) {
      if (++symlinks > max_symlinks)
        return fail(errc::storage_error, fmt::format("{}: too many symlinks", path));
      if (node->target.starts_with('/'))
        way.resize(1);
      auto target = components_of(node->target);
      parts.insert(parts.end(), target.rbegin(), target.rend());
      name.clear();
      continue;
    }
    if (parts.empty())
      return location{way.back(), name, node};
    if (!node)
      return fail(errc::not_found, fmt::format("{}: {} does not exist", path, name));
    way.push_back(std::move(node));
  }
  // The path ends in the root, in "..", or in a symlink to either.
  auto node = way.back();
  return location{way.size() > 1 ? way[way.size() - 2] : node, "", node};
}

result<location> memory_disk_state::locate_existing(const std::string& path) const {
  auto place = locate(path, last_symlink::keep);
  if (place && !place->node)
    return fail(errc::not_found, fmt::format("{}: it does not exist", path));
  return place;
}

result<memory_node_ptr> memory_disk_state::find(const std::string& path) const {
  auto place = locate(path, last_symlink::follow);
  if (!place)
    return pass_failure(place);
  if (!place->node)
    return fail(errc::not_found, fmt::format("{}: it does not exist", path));
  return place->node;
}

result<memory_node_ptr> memory_disk_state::find_directory(const std::string& path) const {
  auto node = find(path);
  if (node && (*node)->kind != memory_node_kind::directory)
    return fail(errc::not_found, fmt::format("{}: it is no directory", path));
  return node;
}

result<memory_node_ptr> memory_disk_state::find_file(const std::string& path) const {
  auto node = find(path);
  if (node && (*node)->kind != memory_node_kind::file)
    return fail(errc::storage_error, fmt::format("{}: open failed: it is no regular file", path));
  return node;
}

memory_node_ptr memory_disk_state::require_file(const std::string& path) const {
  auto node = find_file(path);
  if (!node)
    die(fmt::format("{}: there is no such file", path));
  return *node;
}

memory_node_ptr memory_disk_state::make_node(memory_node_kind kind, const location& place) {
  auto node = std::make_shared<memory_node>();
  node->kind = kind;
  node->volume = place.directory->volume;
  place.directory->entries.set(place.name, node);
  return node;
}

void memory_disk_state::crash(crash_dice dice) {
  ++boot;
  fuse.reset();
  opened.clear();
  for (auto& volume : volumes)
    volume->used_bytes = 0;
  root->crash(dice);
}

} // namespace cairn
