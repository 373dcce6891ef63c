#include "core/store/data_directory.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <filesystem>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

namespace cairn {

namespace {

using posix::fail_errno;
using posix::fail_with;
using posix::retry_interrupted;
using posix::unique_fd;

constexpr std::string_view identity_header = "cairn-identity 1";
constexpr std::size_t max_name_bytes = 63;
/// More than any identity or lock file takes.
constexpr std::size_t max_file_bytes = 1024;

unique_fd open_file(const std::string& path, int flags) {
  return unique_fd(retry_interrupted([&] { return ::open(path.c_str(), flags | O_CLOEXEC, 0600); }));
}

result<void> sync_names(const std::string& directory) {
  const auto fd = open_file(directory, O_RDONLY | O_DIRECTORY);
  if (!fd.valid())
    return fail_errno(directory, "open", errno);
  if (::fsync(fd.get()) != 0)
    return fail_with(errc::storage_error, directory, "fsync", errno);
  return {};
}

/// Makes one directory with exactly that mode, whatever the umask.
/// @returns whether it was made
result<bool> make_one(const std::string& path, mode_t mode) {
  if (::mkdir(path.c_str(), 0700) != 0) {
    const int error = errno;
    struct stat status {};
    if (error != EEXIST || ::stat(path.c_str(), &status) != 0)
      return fail_errno(path, "mkdir", error);
    if (!S_ISDIR(status.st_mode))
      return fail_errno(path, "mkdir", ENOTDIR);
    return false;
  }
  if (::chmod(path.c_str(), mode) != 0)
    return fail_errno(path, "chmod", errno);
  return true;
}

/// Makes a directory and its missing parents, each durable.
result<void> make_with_parents(const std::filesystem::path& path) {
  std::filesystem::path prefix;
  for (const auto& part : path) {
    const auto parent = prefix;
    prefix /= part;
    if (prefix == path.root_path())
      continue;
    auto made = make_one(prefix, prefix == path ? 0711 : 0755);
    if (!made)
      return pass_failure(made);
    // One that was there may be the work of a process that ended before its sync. It may also be an
    // operator's, in a directory that this user must not read: then its durability is not the node's affair.
    if (auto synced = sync_names(parent); !synced && *made)
      return synced;
  }
  return {};
}

/// PostgreSQL, under its own user, must reach its folder through a directory that an operator made.
result<void> make_searchable(const std::string& path) {
  if (::geteuid() != 0)
    return {};
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0)
    return fail_errno(path, "stat", errno);
  const mode_t mode = status.st_mode & 07777;
  if ((mode & 0111) != 0111 && ::chmod(path.c_str(), mode | 0111) != 0)
    return fail_errno(path, "chmod", errno);
  return {};
}

result<void> write_all(int fd, const std::string& path, std::string_view text) {
  while (!text.empty()) {
    const auto written = retry_interrupted([&] { return ::write(fd, text.data(), text.size()); });
    if (written <= 0)
      return fail_errno(path, "write", written < 0 ? errno : EIO);
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return {};
}

/// The file's text, cut at max_file_bytes.
result<std::string> read_text(int fd, const std::string& path) {
  std::array<char, max_file_bytes> buffer;
  std::size_t size = 0;
  while (size < buffer.size()) {
    const auto count = retry_interrupted(
      [&] { return ::pread(fd, buffer.data() + size, buffer.size() - size, static_cast<off_t>(size)); });
    if (count < 0)
      return fail_with(errc::storage_error, path, "pread", errno);
    if (count == 0)
      break;
    size += static_cast<std::size_t>(count);
  }
  return std::string(buffer.data(), size);
}

std::optional<std::int32_t> parse_positive(std::string_view text) {
  std::int32_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size() || number <= 0)
    return std::nullopt;
  return number;
}

/// Takes "PREFIX...\n" off the text. @returns what stood for the dots
std::optional<std::string_view> take_line(std::string_view& text, std::string_view prefix) {
  const auto end = text.find('\n');
  if (end == std::string_view::npos || !text.starts_with(prefix))
    return std::nullopt;
  const auto value = text.substr(0, end).substr(std::min(end, prefix.size()));
  text.remove_prefix(end + 1);
  return value;
}

std::string to_text(const node_identity& identity) {
  return fmt::format("{}\ncluster={}\nnode={}\nid={}\n", identity_header, identity.cluster_name,
                     identity.node_name, identity.id.value);
}

std::optional<node_identity> parse_identity(std::string_view text) {
  const auto header = take_line(text, identity_header);
  const auto cluster = take_line(text, "cluster=");
  const auto node = take_line(text, "node=");
  const auto id_text = take_line(text, "id=");
  const auto id = id_text ? parse_positive(*id_text) : std::nullopt;
  if (!header || !header->empty() || !cluster || !node || !id || !text.empty())
    return std::nullopt;
  if (!is_valid_name(*cluster) || !is_valid_name(*node))
    return std::nullopt;
  return node_identity{std::string(*cluster), std::string(*node), node_id{*id}};
}

std::string describe(const node_identity& identity) {
  return fmt::format("node '{}' (id {}) of cluster '{}'", identity.node_name, identity.id.value,
                     identity.cluster_name);
}

/// @error conflict: names the holder
result<unique_fd> take_lock(const std::string& directory) {
  const auto path = directory + "/lock";
  auto fd = open_file(path, O_RDWR | O_CREAT);
  if (!fd.valid())
    return fail_errno(path, "open", errno);
  if (retry_interrupted([&] { return ::flock(fd.get(), LOCK_EX | LOCK_NB); }) != 0) {
    const int error = errno;
    if (error != EWOULDBLOCK)
      return fail_with(errc::storage_error, path, "flock", error);
    auto holder = read_text(fd.get(), path);
    if (!holder)
      return pass_failure(holder);
    std::string_view text = *holder;
    const auto line = take_line(text, "");
    const auto pid = line ? parse_positive(*line) : std::nullopt;
    return fail(errc::conflict,
                fmt::format("{} is in use by {}; stop it, or use another data directory", directory,
                            pid ? fmt::format("process {}", *pid) : "another process"));
  }
  if (::ftruncate(fd.get(), 0) != 0)
    return fail_errno(path, "ftruncate", errno);
  if (auto written = write_all(fd.get(), path, fmt::format("{}\n", ::getpid())); !written)
    return pass_failure(written);
  return fd;
}

} // namespace

bool is_valid_name(std::string_view name) {
  constexpr std::string_view allowed = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
  return !name.empty() && name.size() <= max_name_bytes
         && name.find_first_not_of(allowed) == std::string_view::npos;
}

result<data_directory> data_directory::open(const std::string& path) {
  std::error_code error;
  auto absolute = std::filesystem::absolute(path, error).lexically_normal();
  if (error || path.empty())
    return fail(errc::storage_error, fmt::format("'{}' cannot be a data directory", path));
  if (!absolute.has_filename())
    absolute = absolute.parent_path(); // it ended in a slash
  const std::string directory = absolute;
  if (auto made = make_with_parents(absolute); !made)
    return pass_failure(made);
  auto lock = take_lock(directory);
  if (!lock)
    return pass_failure(lock);
  if (auto searchable = make_searchable(directory); !searchable)
    return pass_failure(searchable);
  data_directory opened(directory, std::move(*lock));
  for (const auto& folder : {opened.spaces_path(), opened.journal_path()})
    if (auto made = make_one(folder, 0700); !made)
      return pass_failure(made);
  if (auto synced = sync_names(directory); !synced)
    return pass_failure(synced);
  return opened;
}

result<std::optional<node_identity>> data_directory::identity_in(const std::string& directory) {
  const auto path = identity_path_in(directory);
  const auto fd = open_file(path, O_RDONLY);
  if (!fd.valid() && errno == ENOENT)
    return std::optional<node_identity>();
  if (!fd.valid())
    return fail_with(errc::storage_error, path, "open", errno);
  auto text = read_text(fd.get(), path);
  if (!text)
    return pass_failure(text);
  auto stored = parse_identity(*text);
  if (!stored)
    return fail(errc::damaged,
                fmt::format("{}: malformed: it must be the lines '{}', 'cluster=NAME', 'node=NAME', "
                            "'id=NUMBER'; restore it",
                            path, identity_header));
  return stored;
}

result<void> data_directory::hold_space(const std::string& path) {
  if (spaces_.contains(path))
    return {};
  auto fd = open_file(path, O_RDONLY | O_DIRECTORY);
  if (!fd.valid() && errno == ENOENT)
    return {};
  if (!fd.valid())
    return fail_errno(path, "open", errno);
  if (retry_interrupted([&] { return ::flock(fd.get(), LOCK_EX | LOCK_NB); }) == 0) {
    spaces_.emplace(path, std::move(fd));
    return {};
  }
  const int error = errno;
  if (error == EWOULDBLOCK)
    return fail(
      errc::conflict,
      fmt::format("{} is in use by another node: stop it, or, if {} is a copy of its data directory, let the "
                  "links in {} point to file spaces of its own",
                  path, path_, spaces_path()));
  if (error == ENOLCK || error == EOPNOTSUPP) // a file system without locks
    return {};
  return fail_with(errc::storage_error, path, "flock", error);
}

result<void> data_directory::claim(const node_identity& identity) {
  for (const auto& name : {identity.cluster_name, identity.node_name})
    if (!is_valid_name(name))
      return fail(errc::invalid_message,
                  fmt::format("'{}' cannot name a cluster or node: a name is 1 to {} bytes of "
                              "[A-Za-z0-9._-]",
                              name, max_name_bytes));
  if (identity.id.value <= 0)
    return fail(errc::invalid_message, fmt::format("node id {} is not positive", identity.id.value));
  auto stored = this->identity();
  if (!stored)
    return pass_failure(stored);
  if (*stored && **stored != identity)
    return fail(errc::conflict, fmt::format("{} belongs to {}, but this is {}", path_, describe(**stored),
                                            describe(identity)));
  if (*stored)
    return sync_names(path_); // the process that wrote it may have ended before its own
  const auto temporary = identity_path() + ".new";
  const auto fd = open_file(temporary, O_WRONLY | O_CREAT | O_TRUNC);
  if (!fd.valid())
    return fail_errno(temporary, "open", errno);
  if (auto written = write_all(fd.get(), temporary, to_text(identity)); !written)
    return written;
  if (::fsync(fd.get()) != 0)
    return fail_with(errc::storage_error, temporary, "fsync", errno);
  if (::rename(temporary.c_str(), identity_path().c_str()) != 0)
    return fail_errno(temporary, "rename", errno);
  return sync_names(path_);
}

} // namespace cairn
