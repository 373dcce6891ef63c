#include "core/store/file_spaces.hpp"

#include <algorithm>
#include <charconv>
#include <optional>

#include <fmt/format.h>

namespace cairn {

namespace {

constexpr std::int32_t bucket_count = 1000;

std::int32_t bucket_of(value_file_id id) { return id.value % bucket_count; }

std::string bucket_name(std::int32_t number) { return fmt::format("{:03}", number); }

std::string file_name(value_file_id id) { return fmt::format("{:08}", id.value); }

/// "/a/b" -> "/a"; "/a" -> "/".
std::string parent_of(const std::string& path) {
  auto end = path.find_last_not_of('/');
  end = end == std::string::npos ? end : path.find_last_of('/', end);
  end = end == std::string::npos ? end : path.find_last_not_of('/', end);
  return end == std::string::npos ? "/" : path.substr(0, end + 1);
}

/// The number that `name` stands for, if `spell` writes it exactly so.
template <class Spell>
std::optional<std::int32_t> parse_name(const std::string& name, Spell spell) {
  std::int32_t number = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
  if (error != std::errc{} || end != name.data() + name.size() || number < 0 || spell(number) != name)
    return std::nullopt;
  return number;
}

bool is_empty(disk& disk, const std::string& directory) {
  const auto entries = disk.list_directory(directory);
  return entries && entries->empty();
}

/// A name whose sync failed is not to be trusted, even if a later sync succeeds: it goes, and the next
/// attempt makes it anew. A directory that holds something was durable before that came to be in it, and
/// stays.
void drop_doubtful_directory(disk& disk, const std::string& path) {
  static_cast<void>(disk.remove_directory(path));
}

/// @error conflict: no symlink, or one that points elsewhere; storage_error
result<void> check_link(disk& disk, const std::string& root, const file_space& space) {
  const auto link = space_link_path(root, space.space);
  auto target = disk.read_symlink(link);
  if (target && *target == space.path)
    return {};
  if (target)
    return fail(
      errc::conflict,
      fmt::format("file space {}: symlink {} points to {}, but its row says {}; make them "
                  "agree, the link by: ln -sfn {} {}, or, if the value files were moved to where it "
                  "points, the row by: cairn rebuild",
                  space.space.value, link, *target, space.path, space.path, link));
  if (target.error().code == errc::not_found)
    return fail(errc::conflict, fmt::format("file space {}: symlink {} is missing; make it by: ln -s {} {}",
                                            space.space.value, link, space.path, link));
  if (target.error().code == errc::conflict)
    return fail(errc::conflict, fmt::format("file space {}: {} is no symlink; it must be one to {}",
                                            space.space.value, link, space.path));
  return pass_failure(target);
}

} // namespace

std::string_view to_string(space_purpose purpose) {
  return purpose == space_purpose::journal ? "journal" : "storage";
}

std::uint64_t space_reserve::of(std::uint64_t total_bytes) const {
  return std::max(total_bytes / 100 * percent, min_bytes);
}

std::string space_link_path(const std::string& root, space_id space) {
  return fmt::format("{}/{}", root, space.value);
}

std::string value_file_path(const std::string& root, space_id space, value_file_id id) {
  return fmt::format("{}/{}/{}", space_link_path(root, space), bucket_name(bucket_of(id)), file_name(id));
}

file_spaces::file_spaces(disk& disk, std::string root, std::vector<file_space> spaces, space_reserve reserve)
    : disk_(disk), root_(std::move(root)), spaces_(std::move(spaces)), reserve_(reserve) {}

result<void> file_spaces::prepare(disk& disk, const std::string& root, const file_space& space) {
  if (space.space.value <= 0)
    return fail(errc::invalid_message,
                fmt::format("file space {}: its id must be positive", space.space.value));
  if (!space.path.starts_with('/'))
    return fail(errc::invalid_message, fmt::format("file space {}: its path must be absolute, not '{}'",
                                                   space.space.value, space.path));
  if (auto made = disk.make_directory(space.path); !made)
    return pass_failure(made);
  // Synced whether made just now or not: an earlier attempt may have ended before its sync.
  for (const auto& directory : {space.path, parent_of(space.path)}) {
    if (auto synced = disk.sync_directory(directory); !synced) {
      drop_doubtful_directory(disk, space.path);
      return synced;
    }
  }
  const auto link = space_link_path(root, space.space);
  auto linked = disk.make_symlink(space.path, link);
  const auto is_new = linked.has_value();
  if (!linked && linked.error().code == errc::conflict)
    linked = check_link(disk, root, space);
  if (!linked)
    return linked;
  auto synced = disk.sync_directory(root);
  if (!synced && (is_new || is_empty(disk, space.path)))
    static_cast<void>(disk.remove(link)); // likewise
  return synced;
}

result<void> file_spaces::check() const {
  for (const auto& space : spaces_) {
    if (auto linked = check_link(disk_, root_, space); !linked)
      return linked;
    auto entries = disk_.list_directory(space.path);
    if (!entries && entries.error().code == errc::not_found)
      return fail(errc::conflict,
                  fmt::format("file space {}: directory {} is missing; mount its volume '{}' or "
                              "restore it",
                              space.space.value, space.path, space.volume));
    if (!entries)
      return pass_failure(entries);
  }
  return {};
}

result<volume_space> file_spaces::space_of(space_id space) const {
  return disk_.space_at(space_link_path(root_, space));
}

result<space_id> file_spaces::choose_journal_space(reserve_use use) const {
  std::optional<space_id> best;
  std::uint64_t best_bytes = 0;
  std::string reasons;
  auto code = errc::storage_error; // unless one is merely full
  for (const auto& space : spaces_) {
    if (space.purpose != space_purpose::journal)
      continue;
    auto volume = space_of(space.space);
    if (!volume) {
      reasons += "; " + volume.error().message;
      continue;
    }
    const auto reserve_bytes = reserve_.of(volume->total_bytes);
    if (use == reserve_use::keep && volume->available_bytes < reserve_bytes) {
      code = errc::no_space;
      reasons += fmt::format("; file space {} has {} bytes available, reserve {}", space.space.value,
                             volume->available_bytes, reserve_bytes);
    } else if (!best || volume->available_bytes > best_bytes) {
      best = space.space;
      best_bytes = volume->available_bytes;
    }
  }
  if (best)
    return *best;
  if (reasons.empty())
    return fail(errc::no_space, "no file space has the purpose 'journal'");
  return fail(code, "no journal space can take a new value file" + reasons);
}

result<void> file_spaces::check_reserve(space_id space) const {
  auto volume = space_of(space);
  if (!volume)
    return fail(errc::storage_error, volume.error().message);
  const auto reserve_bytes = reserve_.of(volume->total_bytes);
  if (volume->available_bytes < reserve_bytes)
    return fail(errc::no_space, fmt::format("file space {} has {} bytes available, reserve {}", space.value,
                                            volume->available_bytes, reserve_bytes));
  return {};
}

result<space_scan> file_spaces::scan() const {
  space_scan found;
  auto links = disk_.list_directory(root_);
  if (!links)
    return pass_failure(links);
  for (const auto& link : *links) {
    const auto named = [&](const file_space& space) {
      return std::to_string(space.space.value) == link.name;
    };
    if (std::none_of(spaces_.begin(), spaces_.end(), named))
      found.unknown.push_back(root_ + "/" + link.name);
  }
  for (const auto& space : spaces_)
    if (auto scanned = scan_space(space.space, found); !scanned)
      return pass_failure(scanned);
  std::sort(found.files.begin(), found.files.end(),
            [](const auto& a, const auto& b) { return std::pair(a.id, a.space) < std::pair(b.id, b.space); });
  return found;
}

result<void> file_spaces::scan_space(space_id space, space_scan& into) const {
  const auto path = space_link_path(root_, space);
  auto entries = disk_.list_directory(path);
  if (!entries)
    return pass_failure(entries);
  for (const auto& entry : *entries) {
    const auto entry_path = path + "/" + entry.name;
    const auto number = parse_name(entry.name, bucket_name);
    if (!entry.is_directory || !number || *number >= bucket_count)
      into.unknown.push_back(entry_path);
    else if (auto scanned = scan_bucket({space, *number}, entry_path, into); !scanned)
      return scanned;
  }
  return {};
}

result<void> file_spaces::scan_bucket(const bucket& which, const std::string& path, space_scan& into) const {
  auto entries = disk_.list_directory(path);
  if (!entries)
    return pass_failure(entries);
  for (auto& entry : *entries) {
    auto entry_path = path + "/" + entry.name;
    const auto number = parse_name(entry.name, [](std::int32_t id) { return file_name(value_file_id{id}); });
    const bool is_value_file =
      !entry.is_directory && number && *number > 0 && bucket_of(value_file_id{*number}) == which.second;
    if (is_value_file)
      into.files.push_back({value_file_id{*number}, which.first, std::move(entry_path)});
    else
      into.unknown.push_back(std::move(entry_path));
  }
  return {};
}

result<void> file_spaces::make_bucket(const bucket& which, const std::string& path) {
  if (durable_buckets_.contains(which))
    return {};
  if (broken_buckets_.contains(which))
    return fail(errc::storage_error, fmt::format("{}: not used, as a sync of its name failed earlier", path));
  if (auto made = disk_.make_directory(path); !made)
    return pass_failure(made);
  // One that was there may be the work of a process that ended before its sync, so it is synced as well.
  for (const auto& directory : {path, space_link_path(root_, which.first)}) {
    if (auto synced = disk_.sync_directory(directory); !synced) {
      broken_buckets_.insert(which);
      drop_doubtful_directory(disk_, path);
      return fail(errc::storage_error, synced.error().message);
    }
  }
  durable_buckets_.insert(which);
  return {};
}

result<new_value_file> file_spaces::create_value_file(space_id space, value_file_id id, io_mode mode) {
  const bucket which{space, bucket_of(id)};
  const auto directory = fmt::format("{}/{}", space_link_path(root_, space), bucket_name(which.second));
  if (auto made = make_bucket(which, directory); !made)
    return pass_failure(made);
  auto path = value_file_path(root_, space, id);
  auto file = disk_.create(path, mode);
  if (!file)
    return pass_failure(file);
  if (auto synced = disk_.sync_directory(directory); !synced)
    return fail(errc::storage_error, synced.error().message);
  return new_value_file{std::move(*file), std::move(path)};
}

} // namespace cairn
