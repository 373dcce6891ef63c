#include "tests/crash/small_volume.hpp"

#include "core/disk/posix.hpp"
#include "tests/harness/scratch.hpp"

#include <cerrno>
#include <system_error>

#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <unistd.h>

namespace cairn::crash {

namespace {

std::string reason() { return std::generic_category().message(errno); }

[[noreturn]] void give_up(const std::string& what) {
  throw harness::harness_error(fmt::format("{}: {}", what, reason()));
}

} // namespace

std::optional<std::string> small_volume::missing() {
  if (::unshare(CLONE_NEWNS) != 0)
    return fmt::format("no mount namespace of its own ({}): run it as root", reason());
  // Else what is mounted here would be seen, and stay, outside.
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
    return fmt::format("mounts cannot be made private ({})", reason());
  return std::nullopt;
}

small_volume::small_volume(std::string path, std::uint64_t size_bytes) : path_(std::move(path)) {
  const auto options = fmt::format("size={},mode=0700", size_bytes);
  if (::mount("cairn-small-volume", path_.c_str(), "tmpfs", 0, options.c_str()) != 0)
    give_up("mount " + path_);
}

small_volume::~small_volume() { ::umount2(path_.c_str(), MNT_DETACH); }

std::uint64_t small_volume::available_bytes() const {
  struct statvfs room {};
  if (::statvfs(path_.c_str(), &room) != 0)
    give_up("statvfs " + path_);
  return room.f_bavail * room.f_frsize;
}

void small_volume::put_ballast(std::uint64_t size_bytes) const {
  const posix::unique_fd file(::open(ballast_path().c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  if (!file.valid() || ::fallocate(file.get(), 0, 0, static_cast<off_t>(size_bytes)) != 0)
    give_up(ballast_path());
}

void small_volume::remove_ballast() const {
  if (::unlink(ballast_path().c_str()) != 0)
    give_up(ballast_path());
}

} // namespace cairn::crash
