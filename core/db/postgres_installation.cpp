#include "core/db/postgres_installation.hpp"

#include "core/db/child_process.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>
#include <filesystem>

#include <pwd.h>

namespace cairn {

namespace {

namespace fs = std::filesystem;

constexpr std::string_view debian_root = "/usr/lib/postgresql";
constexpr std::chrono::seconds version_bound{20};

bool has_programs(const std::string& directory) {
  return ::access((directory + "/initdb").c_str(), X_OK) == 0
         && ::access((directory + "/postgres").c_str(), X_OK) == 0;
}

std::vector<std::string> search_path() {
  const char* set = std::getenv("PATH");
  std::string_view rest = set != nullptr ? set : "";
  std::vector<std::string> directories;
  while (!rest.empty()) {
    const auto end = std::min(rest.find(':'), rest.size());
    if (rest.starts_with('/')) // a relative one would change with the working directory
      directories.emplace_back(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  for (const char* usual : {"/usr/bin", "/bin"})
    directories.emplace_back(usual);
  return directories;
}

result<std::string> find_bin_directory(const std::string& wanted) {
  if (!wanted.empty()) {
    if (wanted.starts_with('/') && has_programs(wanted))
      return wanted;
    return fail(
      errc::database_unavailable,
      fmt::format("no PostgreSQL server programs (initdb, postgres) in {}; name the absolute path of "
                  "their directory, or install the Debian package postgresql",
                  wanted));
  }
  int newest = 0;
  std::error_code error;
  for (auto entry = fs::directory_iterator(debian_root, error); !error && entry != fs::directory_iterator();
       entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    int version = 0;
    const auto [end, bad] = std::from_chars(name.data(), name.data() + name.size(), version);
    // The client package alone makes such a directory too, without the server.
    if (bad == std::errc{} && end == name.data() + name.size() && version > newest
        && has_programs(debian_bin_directory(version)))
      newest = version;
  }
  if (newest > 0)
    return debian_bin_directory(newest);
  for (const auto& directory : search_path())
    if (has_programs(directory))
      return directory;
  return fail(
    errc::database_unavailable,
    fmt::format("no PostgreSQL server programs (initdb, postgres) in {}/*/bin or along PATH; install "
                "the Debian package postgresql, or configure a database",
                debian_root));
}

result<std::string> find_setpriv() {
  for (const auto& directory : search_path())
    if (const std::string program = directory + "/setpriv"; ::access(program.c_str(), X_OK) == 0)
      return program;
  return fail(
    errc::database_unavailable,
    "setpriv, which runs PostgreSQL, is not on this machine; install the Debian package util-linux");
}

/// "postgres (PostgreSQL) 15.4 (Debian ...)" -> 15
result<int> read_major_version(const std::string& bin_directory) {
  const std::string program = bin_directory + "/postgres";
  auto outcome = run_command({program, "--version"}, std::chrono::steady_clock::now() + version_bound);
  if (!outcome)
    return fail(errc::database_unavailable, outcome.error().message);
  const std::string_view output = outcome->output;
  constexpr std::string_view before = "(PostgreSQL) ";
  int version = 0;
  if (const auto at = output.find(before); at != std::string_view::npos)
    std::from_chars(output.data() + at + before.size(), output.data() + output.size(), version);
  if (!outcome->exit.success || version == 0)
    return fail(errc::database_unavailable, fmt::format("{} --version tells no version ({}): {}", program,
                                                        outcome->exit.text, last_lines(output)));
  return version;
}

result<void> find_account(postgres_installation& installation) {
  installation.switches_account = ::geteuid() == 0;
  installation.uid = ::geteuid();
  installation.gid = ::getegid();
  std::array<char, 16384> buffer{};
  passwd entry{};
  passwd* found = nullptr;
  if (installation.switches_account)
    ::getpwnam_r("postgres", &entry, buffer.data(), buffer.size(), &found);
  else
    ::getpwuid_r(installation.uid, &entry, buffer.data(), buffer.size(), &found);
  if (found == nullptr && installation.switches_account)
    return fail(errc::database_unavailable,
                "PostgreSQL does not run as root, and there is no user postgres to "
                "run it as; install the Debian package postgresql");
  if (found != nullptr) {
    installation.account = entry.pw_name;
    installation.uid = entry.pw_uid;
    installation.gid = entry.pw_gid;
    return {};
  }
  // PostgreSQL's own programs ask for a name as well.
  return fail(
    errc::database_unavailable,
    fmt::format("user {} has no entry in the user database, which PostgreSQL needs; run the node as a "
                "named user",
                installation.uid));
}

} // namespace

std::vector<std::string> postgres_installation::command(const std::string& program,
                                                        std::vector<std::string> arguments) const {
  std::vector<std::string> all{setpriv};
  if (switches_account)
    for (const auto& option :
         {"--reuid=" + account, fmt::format("--regid={}", gid), std::string("--init-groups")})
      all.push_back(option);
  for (const char* option : {"--pdeathsig", "INT", "--"})
    all.emplace_back(option);
  all.push_back(program);
  std::move(arguments.begin(), arguments.end(), std::back_inserter(all));
  return all;
}

result<postgres_installation> find_postgres(const std::string& bin_directory) {
  postgres_installation installation;
  auto directory = find_bin_directory(bin_directory);
  if (!directory)
    return pass_failure(directory);
  installation.bin_directory = *directory;
  auto setpriv = find_setpriv();
  if (!setpriv)
    return pass_failure(setpriv);
  installation.setpriv = *setpriv;
  if (auto account = find_account(installation); !account)
    return pass_failure(account);
  auto version = read_major_version(installation.bin_directory);
  if (!version)
    return pass_failure(version);
  installation.major_version = *version;
  return installation;
}

std::string debian_bin_directory(int major_version) {
  return fmt::format("{}/{}/bin", debian_root, major_version);
}

} // namespace cairn
