#include "core/db/postgres_data.hpp"

#include "core/db/server_processes.hpp"

#include <charconv>
#include <csignal>
#include <filesystem>
#include <fstream>

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <sys/un.h>

namespace cairn {

namespace {

namespace fs = std::filesystem;

constexpr std::string_view private_socket_prefix = "/tmp/cairn-postgres-";
constexpr std::chrono::seconds search_bound{20};

result<void> sync_directory(const std::string& path) {
  const posix::unique_fd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.valid() || ::fsync(fd.get()) != 0)
    return posix::fail_with(errc::storage_error, path, "fsync", errno);
  return {};
}

/// A new directory that only the account may enter.
result<void> make_private_directory(const postgres_installation& installation, const std::string& path) {
  if (::mkdir(path.c_str(), 0700) != 0)
    return posix::fail_errno(path, "mkdir", errno);
  if (installation.switches_account && ::chown(path.c_str(), installation.uid, installation.gid) != 0)
    return posix::fail_errno(path, "chown", errno);
  return {};
}

result<bool> may_search(const postgres_installation& installation, const std::string& path) {
  // Asked of the system as that user, so that access lists and security modules have their say.
  auto outcome = run_command(installation.command("/usr/bin/test", {"-x", path}),
                             std::chrono::steady_clock::now() + search_bound);
  if (!outcome)
    return fail(errc::database_unavailable, outcome.error().message);
  if (!outcome->output.empty()) // test is silent; setpriv is not
    return fail(errc::database_unavailable, fmt::format("cannot run programs as user {}: {}",
                                                        installation.account, last_lines(outcome->output)));
  return outcome->exit.success;
}

result<void> check_search(const postgres_installation& installation, const std::string& directory) {
  auto whole = may_search(installation, directory);
  if (!whole)
    return pass_failure(whole);
  if (*whole)
    return {};
  std::error_code error;
  const fs::path real = fs::canonical(directory, error);
  fs::path barred;
  for (const auto& part : real) {
    barred /= part;
    auto allowed = may_search(installation, barred.string());
    if (!allowed)
      return pass_failure(allowed);
    if (!*allowed)
      break;
  }
  return fail(
    errc::database_unavailable,
    fmt::format("user {}, who runs the node's PostgreSQL, may not search the directory {}; allow it with "
                "'chmod o+x {}', or put the data directory elsewhere",
                installation.account, barred.string(), barred.string()));
}

std::string read_word(const std::string& path) {
  std::ifstream in(path);
  std::string word;
  in >> word;
  return word;
}

result<void> check_data(const postgres_installation& installation, const std::string& data) {
  struct stat info {};
  if (::stat(data.c_str(), &info) != 0)
    return posix::fail_errno(data, "stat", errno);
  if (info.st_uid != installation.uid)
    return fail(
      errc::conflict,
      fmt::format("{} belongs to user {}, but its server would run as {} (user {}); run the node as before, "
                  "or give the directory to {}",
                  data, info.st_uid, installation.account, installation.uid, installation.account));
  const std::string version = read_word(data + "/PG_VERSION");
  if (version == std::to_string(installation.major_version))
    return {};
  int number = 0;
  const auto [end, bad] = std::from_chars(version.data(), version.data() + version.size(), number);
  if (bad != std::errc{})
    return fail(errc::conflict,
                fmt::format("{} is there but is no PostgreSQL data directory; move it away", data));
  const std::string old_programs = debian_bin_directory(number);
  const bool installed = ::access((old_programs + "/postgres").c_str(), X_OK) == 0;
  return fail(
    errc::conflict,
    fmt::format("{} is of PostgreSQL version {}, the server in {} is version {}; move the directory away and "
                "run 'cairn rebuild --new-server' to build the database from the value files{}",
                data, version, installation.bin_directory, installation.major_version,
                installed ? ", or run the node with the programs in " + old_programs : ""));
}

result<void> run_initdb(const postgres_installation& installation, const std::string& directory,
                        deadline until) {
  const std::string fresh = directory + "/data.new";
  auto outcome = run_command(
    installation.command(installation.bin_directory + "/initdb",
                         {"-D", fresh, "-A", "trust", "-U", "cairn", "--encoding=UTF8", "--locale=C", "-k"}),
    until, fresh);
  if (!outcome)
    return fail(errc::database_unavailable, outcome.error().message);
  if (!outcome->exit.success)
    return fail(errc::database_unavailable, fmt::format("initdb in {} failed ({}): {}", fresh,
                                                        outcome->exit.text, last_lines(outcome->output)));
  // initdb has synced the files; the rename makes them the data directory.
  const std::string data = directory + "/data";
  if (::rename(fresh.c_str(), data.c_str()) != 0)
    return posix::fail_errno(data, "rename", errno);
  return sync_directory(directory);
}

void clear_sockets(const std::string& socket_directory) {
  const std::string socket = fmt::format("{}/.s.PGSQL.{}", socket_directory, managed_postgres_port);
  ::unlink(socket.c_str());
  ::unlink((socket + ".lock").c_str());
}

bool fits_address(const std::string& socket_directory) {
  const auto bytes = fmt::formatted_size("{}/.s.PGSQL.{}", socket_directory, managed_postgres_port);
  return bytes < sizeof(sockaddr_un::sun_path) && socket_directory.find(',') == std::string::npos;
}

} // namespace

result<void> prepare_postgres_directory(const postgres_installation& installation,
                                        const std::string& directory) {
  if (::mkdir(directory.c_str(), 0711) == 0) {
    // Past the umask: the account must be able to pass. What is inside is closed to others by itself.
    if (::chmod(directory.c_str(), installation.switches_account ? 0711 : 0700) != 0)
      return posix::fail_errno(directory, "chmod", errno);
    if (auto synced = sync_directory(fs::path(directory).parent_path().string()); !synced)
      return synced;
  } else if (errno != EEXIST) {
    return posix::fail_errno(directory, "mkdir", errno);
  }
  return check_search(installation, directory);
}

result<void> prepare_postgres_data(const postgres_installation& installation, const std::string& directory,
                                   std::chrono::milliseconds stop_patience, deadline until) {
  const std::string data = directory + "/data";
  const std::string fresh = directory + "/data.new";
  std::error_code error;
  if (fs::exists(data, error) && !fs::is_empty(data, error)) {
    if (auto checked = check_data(installation, data); !checked)
      return checked;
    auto ended = end_server_processes(data, stop_patience);
    return ended ? result<void>{} : pass_failure(ended);
  }
  if (auto ended = end_server_processes(fresh, stop_patience); !ended)
    return pass_failure(ended);
  if (fs::remove_all(fresh, error); error)
    return posix::fail_errno(fresh, "remove", error.value());
  if (auto made = make_private_directory(installation, fresh); !made)
    return made;
  spdlog::info("postgres_initdb directory=\"{}\" version={}", data, installation.major_version);
  return run_initdb(installation, directory, until);
}

result<std::string> make_postgres_sockets(const postgres_installation& installation,
                                          const std::string& directory) {
  remove_postgres_sockets(directory);
  const std::string path = directory + "/socket";
  if (fits_address(path)) {
    auto made = make_private_directory(installation, path);
    return made ? result<std::string>{path} : pass_failure(made);
  }
  std::string elsewhere = std::string(private_socket_prefix) + "XXXXXX";
  if (::mkdtemp(elsewhere.data()) == nullptr)
    return posix::fail_errno(elsewhere, "mkdtemp", errno);
  // The link lets the next start find and remove it should this process be killed.
  if (::symlink(elsewhere.c_str(), path.c_str()) != 0
      || (installation.switches_account
          && ::chown(elsewhere.c_str(), installation.uid, installation.gid) != 0)) {
    const int error = errno;
    ::rmdir(elsewhere.c_str());
    return posix::fail_errno(path, "symlink or chown", error);
  }
  return elsewhere;
}

void remove_postgres_sockets(const std::string& directory) {
  const std::string path = directory + "/socket";
  std::error_code error;
  if (const std::string elsewhere = fs::read_symlink(path, error).string(); !error) {
    if (elsewhere.starts_with(private_socket_prefix)
        && elsewhere.find('/', private_socket_prefix.size()) == std::string::npos) {
      clear_sockets(elsewhere);
      ::rmdir(elsewhere.c_str());
    }
    ::unlink(path.c_str());
    return;
  }
  clear_sockets(path);
  ::rmdir(path.c_str());
}

void remove_stale_postgres_locks(const std::string& directory, const std::string& socket_directory) {
  clear_sockets(socket_directory);
  const std::string lock = directory + "/data/postmaster.pid";
  if (::access(lock.c_str(), F_OK) != 0)
    return;
  // A dead process's file is left to PostgreSQL, which finds the old shared memory through it.
  const std::string word = read_word(lock);
  int pid = 0;
  std::from_chars(word.data(), word.data() + word.size(), pid);
  if (pid != 0 && ::kill(std::abs(pid), 0) != 0 && errno == ESRCH)
    return;
  spdlog::info("postgres_stale_lock_removed file=\"{}\" pid={}", lock, pid);
  ::unlink(lock.c_str());
}

postgres_lock_stamp stamp_of_postgres_lock(const std::string& directory) {
  struct stat info {};
  if (::stat((directory + "/data/postmaster.pid").c_str(), &info) != 0)
    return {};
  return {info.st_ino, info.st_mtim.tv_sec * 1'000'000'000 + info.st_mtim.tv_nsec};
}

bool postgres_is_ready(const std::string& directory, pid_t pid, const postgres_lock_stamp& before) {
  if (stamp_of_postgres_lock(directory) == before)
    return false;
  std::ifstream in(directory + "/data/postmaster.pid");
  std::string line;
  constexpr int status_line = 8;
  for (int number = 1; std::getline(in, line); ++number) {
    if (number == 1 && line != std::to_string(pid))
      return false;
    if (number == status_line)
      return line.starts_with("ready");
  }
  return false;
}

} // namespace cairn
