#include "core/store/log_directory.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace cairn {

result<log_scanner> log_directory::open(disk& disk, const log_file& file) {
  auto opened = disk.open_for_read(file.path);
  if (!opened)
    return pass_failure(opened);
  return log_scanner::open(std::move(*opened), file.fence);
}

result<log_directory> log_directory::scan(disk& disk, const file_spaces& spaces,
                                          const std::string& cluster_name, node_id node) {
  auto found = spaces.scan();
  if (!found)
    return pass_failure(found);
  log_directory out;
  out.unknown = std::move(found->unknown);
  for (auto& entry : found->files) {
    auto file = disk.open_for_read(entry.path);
    if (!file)
      return pass_failure(file);
    auto size = (*file)->size();
    if (!size)
      return pass_failure(size);
    auto scanner = log_scanner::open(std::move(*file));
    if (!scanner) {
      if (scanner.error().code != errc::damaged)
        return pass_failure(scanner);
      if (*size > file_header_bytes)
        return fail(errc::damaged, fmt::format("value file {}: {}", entry.path, scanner.error().message));
      out.stillborn.push_back(std::move(entry.path));
      continue;
    }
    const auto& header = scanner->header();
    if (header.id != entry.id || header.node != node || header.cluster_name != cluster_name)
      return fail(errc::conflict,
                  fmt::format("value file {} is file {} of node {} of cluster {}: it does not belong here",
                              entry.path, header.id.value, header.node_name, header.cluster_name));
    out.files.push_back({entry.id, entry.space, std::move(entry.path), header, *size, std::nullopt});
  }
  std::sort(out.files.begin(), out.files.end(), [](const log_file& a, const log_file& b) {
    return std::pair(a.header.first_lsn, a.id) < std::pair(b.header.first_lsn, b.id);
  });
  for (const auto& successor : out.files)
    for (auto& file : out.files)
      if (file.id == successor.header.predecessor)
        file.fence = successor.header.predecessor_valid_end;
  return out;
}

} // namespace cairn
