#include "core/db/child_process.hpp"
#include "core/db/managed_postgres.hpp"
#include "core/db/postgres_data.hpp"
#include "core/db/postgres_installation.hpp"
#include "core/db/server_processes.hpp"

#include <algorithm>
#include <condition_variable>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <thread>

#include <fcntl.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <pqxx/pqxx>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/wait.h>

namespace cairn {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using testing::Test;

constexpr auto patience = 60s;
constexpr uid_t nobody_uid = 65534;

deadline soon() { return std::chrono::steady_clock::now() + patience; }

/// A directory under /tmp that anybody may pass through.
class scratch {
public:
  scratch() {
    std::string name = "/tmp/cairn-test-XXXXXX";
    if (::mkdtemp(name.data()) == nullptr)
      throw std::runtime_error("mkdtemp failed");
    path_ = name;
    ::chmod(path_.c_str(), 0755);
  }
  scratch(const scratch&) = delete;
  scratch& operator=(const scratch&) = delete;
  ~scratch() {
    std::error_code error;
    fs::remove_all(path_, error);
  }
  [[nodiscard]] std::string path(std::string_view below) const { return path_ + "/" + std::string(below); }

private:
  std::string path_;
};

/// Takes the states of a server and lets a test wait for one.
class state_log {
public:
  auto observer() {
    return [this](const managed_postgres_state& state) {
      const std::scoped_lock lock(mutex_);
      seen_.push_back(state);
      changed_.notify_all();
    };
  }
  template <class Predicate>
  bool wait_for(Predicate holds) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, patience, [&] { return std::any_of(seen_.begin(), seen_.end(), holds); });
  }

private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<managed_postgres_state> seen_;
};

managed_postgres_options options_for(const std::string& directory) {
  managed_postgres_options options;
  options.directory = directory;
  options.start_timeout = patience;
  options.settings = {{"shared_buffers", "16MB"}};
  return options;
}

std::string query(const managed_postgres& server, const std::string& sql,
                  std::string_view database = "postgres") {
  pqxx::connection connection(server.connection_string(database));
  pqxx::nontransaction work(connection);
  const auto rows = work.exec(sql);
  return rows.empty() ? "" : rows[0][0].as<std::string>();
}

/// Waits for the end of a process that need not be a child.
bool wait_for_end(pid_t pid) {
  const posix::unique_fd pidfd = open_pidfd(pid);
  if (!pidfd.valid())
    return true;
  pollfd watched{pidfd.get(), POLLIN, 0};
  return ::poll(&watched, 1, static_cast<int>(std::chrono::milliseconds(patience).count())) == 1;
}

/// Waits until an inotify descriptor tells something.
void wait_for_event(const posix::unique_fd& watch) {
  alignas(inotify_event) char buffer[4096];
  pollfd watched{watch.get(), POLLIN, 0};
  ASSERT_EQ(::poll(&watched, 1, static_cast<int>(std::chrono::milliseconds(patience).count())), 1);
  ASSERT_GT(::read(watch.get(), buffer, sizeof buffer), 0);
}

/// Runs `body` in a forked process; no other thread may live. @returns its process id
template <class Body>
pid_t fork_and(Body body) {
  const pid_t pid = ::fork();
  if (pid != 0)
    return pid;
  body();
  ::_exit(0);
}

/// A process that starts a server, tells its process id, and lives until it is killed.
struct other_node {
  explicit other_node(const std::string& directory) {
    int ends[2];
    EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    const posix::unique_fd in(ends[0]);
    posix::unique_fd out(ends[1]);
    pid = fork_and([&] {
      auto server = managed_postgres::start(options_for(directory));
      pid_t told = 0;
      if (server) {
        query(**server, "CREATE TABLE kept AS SELECT 42 AS answer");
        told = (*server)->state().server_pid;
      }
      if (::write(out.get(), &told, sizeof told) == sizeof told)
        ::pause();
    });
    out = posix::unique_fd();
    EXPECT_EQ(::read(in.get(), &server_pid, sizeof server_pid), ssize_t{sizeof server_pid});
  }
  other_node(const other_node&) = delete;
  other_node& operator=(const other_node&) = delete;
  ~other_node() { kill(); }
  void kill() {
    if (pid <= 0)
      return;
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
    pid = 0;
  }

  pid_t pid = 0;
  pid_t server_pid = 0;
};

/// A process of the server's account in the given directory.
result<child_process> spawn_as_server(const postgres_installation& installation, const std::string& program,
                                      std::vector<std::string> arguments, const std::string& directory) {
  const posix::unique_fd null(::open("/dev/null", O_WRONLY | O_CLOEXEC));
  return child_process::spawn({installation.command(program, std::move(arguments)), directory, null.get()});
}

void write_program(const std::string& path, std::string_view script) {
  std::ofstream(path) << "#!/bin/sh\n" << script << "\n";
  ::chmod(path.c_str(), 0755);
}

class ManagedPostgresTest : public Test {
protected:
  /// One initdb for all tests that do not care about it; each gets a copy.
  static void SetUpTestSuite() {
    pattern_ = std::make_unique<scratch>();
    auto server = managed_postgres::start(options_for(pattern_->path("pg")));
    ASSERT_TRUE(server) << server.error().message;
    ASSERT_TRUE((*server)->stop());
  }
  static void TearDownTestSuite() { pattern_.reset(); }

  void TearDown() override {
    EXPECT_TRUE(find_server_processes(data()).empty());
    EXPECT_TRUE(find_server_processes(directory_ + "/data.new").empty());
  }

  void copy_pattern() const {
    const auto copied = run_command({"/bin/cp", "-a", pattern_->path("pg"), directory_}, soon());
    ASSERT_TRUE(copied && copied->exit.success);
  }

  [[nodiscard]] std::unique_ptr<managed_postgres> start() const { return start(options_for(directory_)); }
  [[nodiscard]] static std::unique_ptr<managed_postgres> start(managed_postgres_options options) {
    auto server = managed_postgres::start(std::move(options));
    EXPECT_TRUE(server) << server.error().message;
    return server ? std::move(*server) : nullptr;
  }
  [[nodiscard]] static failure start_failure(managed_postgres_options options) {
    auto server = managed_postgres::start(std::move(options));
    EXPECT_FALSE(server);
    return server ? failure{errc::success, ""} : server.error();
  }
  [[nodiscard]] static postgres_installation installed() { return find_postgres("").value(); }
  [[nodiscard]] std::string data() const { return directory_ + "/data"; }

  scratch scratch_;
  std::string directory_ = scratch_.path("pg");

private:
  static inline std::unique_ptr<scratch> pattern_;
};

bool contains(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

TEST_F(ManagedPostgresTest, FirstStartMakesAServerOnAPrivateSocketAlone) {
  const auto server = start();
  ASSERT_TRUE(server);
  EXPECT_EQ(server->state().phase, managed_postgres_phase::running);
  EXPECT_EQ(query(*server, "SHOW listen_addresses"), "");
  EXPECT_EQ(query(*server, "SHOW fsync"), "on");
  EXPECT_EQ(query(*server, "SHOW data_checksums"), "on");
  EXPECT_EQ(query(*server, "SHOW max_connections"), "40");
  EXPECT_EQ(query(*server, "SHOW shared_buffers"), "16MB");
  EXPECT_EQ(query(*server, "SHOW server_encoding"), "UTF8");
  EXPECT_EQ(query(*server, "SELECT datcollate FROM pg_database WHERE datname = 'postgres'"), "C");
  EXPECT_EQ(query(*server, "SELECT current_user"), "cairn");
  struct stat info {};
  ASSERT_EQ(::stat((directory_ + "/socket").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777U, 0700U);
  EXPECT_EQ(info.st_uid, installed().uid);
  EXPECT_GT(fs::file_size(directory_ + "/log"), 0U);
}

TEST_F(ManagedPostgresTest, LogTellsWhyAStatementFailedAndNotTheStatement) { // a round has megabytes of them
  copy_pattern();
  const auto server = start();
  ASSERT_TRUE(server);
  EXPECT_THROW(query(*server, "SELECT 1 / 0 /* archived rows */"), pqxx::sql_error);
  std::ifstream log(directory_ + "/log");
  const std::string text(std::istreambuf_iterator<char>(log), {});
  EXPECT_TRUE(contains(text, "division by zero")) << text;
  EXPECT_FALSE(contains(text, "archived rows")) << text;
}

TEST_F(ManagedPostgresTest, SecondStartFindsTheSameData) {
  copy_pattern();
  {
    const auto server = start();
    ASSERT_TRUE(server);
    query(*server, "CREATE TABLE kept AS SELECT 42 AS answer");
  }
  const auto server = start();
  ASSERT_TRUE(server);
  EXPECT_EQ(query(*server, "SELECT answer FROM kept"), "42");
}

TEST_F(ManagedPostgresTest, CreateDatabaseIsIdempotent) {
  copy_pattern();
  const auto server = start();
  ASSERT_TRUE(server);
  const std::string name = R"(node "1" it's \ é)";
  ASSERT_TRUE(server->create_database(name));
  query(*server, "CREATE TABLE kept AS SELECT 42 AS answer", name);
  ASSERT_TRUE(server->create_database(name));
  EXPECT_EQ(query(*server, "SELECT answer FROM kept", name), "42");
  EXPECT_EQ(query(*server, "SHOW lc_collate", name) + query(*server, "SHOW lc_ctype", name), "CC");
  EXPECT_EQ(query(*server, "SHOW server_encoding", name), "UTF8");
}

TEST_F(ManagedPostgresTest, CreateDatabaseBearsManyCallersAtOnce) {
  copy_pattern();
  const auto server = start();
  ASSERT_TRUE(server);
  std::vector<result<void>> outcomes(4);
  std::vector<std::thread> callers;
  for (auto& outcome : outcomes)
    callers.emplace_back([&] { outcome = server->create_database("shared"); });
  for (auto& caller : callers)
    caller.join();
  for (const auto& outcome : outcomes)
    EXPECT_TRUE(outcome) << outcome.error().message;
}

TEST_F(ManagedPostgresTest, CreateDatabaseRefusesNamesThatDoNotFit) {
  copy_pattern();
  const auto server = start();
  ASSERT_TRUE(server);
  for (const auto& name : {std::string(), std::string(64, 'x'), std::string("a\0b", 3)})
    EXPECT_EQ(server->create_database(name).error().code, errc::invalid_message);
  EXPECT_TRUE(server->create_database(std::string(63, 'x')));
  ASSERT_TRUE(server->stop());
  EXPECT_EQ(server->create_database("late").error().code, errc::database_unavailable);
}

TEST_F(ManagedPostgresTest, KilledServerComesBackWithItsData) {
  copy_pattern();
  state_log states;
  auto options = options_for(directory_);
  options.on_change = states.observer();
  const auto server = start(options);
  ASSERT_TRUE(server);
  query(*server, "CREATE TABLE kept AS SELECT 42 AS answer");
  pqxx::connection open_one(server->connection_string("postgres"));
  const pid_t first = server->state().server_pid;
  ::kill(first, SIGKILL);
  ASSERT_TRUE(states.wait_for([](const auto& state) { return state.restart_count == 1; }));
  EXPECT_TRUE(states.wait_for([](const auto& state) {
    return state.phase == managed_postgres_phase::restarting && state.last_exit == "killed by SIGKILL";
  }));
  EXPECT_EQ(query(*server, "SELECT answer FROM kept"), "42");
  EXPECT_EQ(server->state().phase, managed_postgres_phase::running);
  EXPECT_NE(server->state().server_pid, first);
}

TEST_F(ManagedPostgresTest, BackendThatOutlivesAKilledServerIsEnded) {
  copy_pattern();
  state_log states;
  auto options = options_for(directory_);
  options.stop_timeout = 300ms;
  options.on_change = states.observer();
  const auto server = start(options);
  ASSERT_TRUE(server);
  pqxx::connection open_one(server->connection_string("postgres"));
  // Stopped, it notices neither the death of its server nor a friendly signal, and keeps the shared memory.
  ::kill(open_one.backendpid(), SIGSTOP);
  ::kill(server->state().server_pid, SIGKILL);
  ASSERT_TRUE(states.wait_for([](const auto& state) { return state.restart_count == 1; }));
  EXPECT_EQ(query(*server, "SELECT 1"), "1");
}

TEST_F(ManagedPostgresTest, KeepsTryingUntilTheServerStartsAgain) {
  copy_pattern();
  state_log states;
  auto options = options_for(directory_);
  options.on_change = states.observer();
  const auto server = start(options);
  ASSERT_TRUE(server);
  fs::rename(data() + "/global/pg_control", data() + "/global/pg_control.away");
  ::kill(server->state().server_pid, SIGKILL);
  ASSERT_TRUE(states.wait_for([](const auto& state) { return contains(state.last_exit, "pg_control"); }));
  EXPECT_EQ(server->state().phase, managed_postgres_phase::restarting);
  EXPECT_EQ(server->create_database("x").error().code, errc::database_unavailable);
  fs::rename(data() + "/global/pg_control.away", data() + "/global/pg_control");
  ASSERT_TRUE(states.wait_for([](const auto& state) { return state.restart_count == 1; }));
  EXPECT_EQ(query(*server, "SELECT 1"), "1");
}

TEST_F(ManagedPostgresTest, StopEndsTheWaitForARestart) {
  copy_pattern();
  state_log states;
  auto options = options_for(directory_);
  options.on_change = states.observer();
  const auto server = start(options);
  ASSERT_TRUE(server);
  fs::remove(data() + "/global/pg_control");
  ::kill(server->state().server_pid, SIGKILL);
  ASSERT_TRUE(states.wait_for([](const auto& state) { return contains(state.last_exit, "pg_control"); }));
  EXPECT_TRUE(server->stop());
  EXPECT_EQ(server->state().phase, managed_postgres_phase::stopped);
}

TEST_F(ManagedPostgresTest, StopLeavesNoProcessAndNoSocket) {
  copy_pattern();
  const auto server = start();
  ASSERT_TRUE(server);
  pqxx::connection open_one(server->connection_string("postgres"));
  const pid_t pid = server->state().server_pid;
  EXPECT_FALSE(find_server_processes(data()).empty());
  ASSERT_TRUE(server->stop());
  EXPECT_TRUE(find_server_processes(data()).empty());
  EXPECT_EQ(::kill(pid, 0), -1);
  EXPECT_FALSE(fs::exists(directory_ + "/socket"));
  EXPECT_FALSE(fs::exists(data() + "/postmaster.pid")); // an orderly end
  EXPECT_EQ(server->state().phase, managed_postgres_phase::stopped);
  EXPECT_EQ(server->state().server_pid, 0);
  // A later owner's server is not harmed by the first one's second stop.
  const auto next = start();
  ASSERT_TRUE(next);
  EXPECT_TRUE(server->stop());
  EXPECT_EQ(query(*next, "SELECT 1"), "1");
}

TEST_F(ManagedPostgresTest, StopKillsAServerThatDoesNotListen) {
  copy_pattern();
  auto options = options_for(directory_);
  options.stop_timeout = 300ms;
  const auto server = start(options);
  ASSERT_TRUE(server);
  ::kill(server->state().server_pid, SIGSTOP);
  EXPECT_TRUE(server->stop());
  EXPECT_TRUE(find_server_processes(data()).empty());
}

TEST_F(ManagedPostgresTest, OutlivesTheThreadThatStartedIt) {
  copy_pattern();
  std::unique_ptr<managed_postgres> server;
  std::thread([&] { server = start(); }).join();
  ASSERT_TRUE(server);
  EXPECT_EQ(query(*server, "SELECT 1"), "1");
  EXPECT_EQ(server->state().restart_count, 0U);
}

TEST_F(ManagedPostgresTest, ServerInheritsNoDescriptor) {
  copy_pattern();
  const std::string lock = scratch_.path("lock");
  const posix::unique_fd held(::open(lock.c_str(), O_CREAT | O_RDWR, 0600)); // NOLINT: not close-on-exec
  ASSERT_TRUE(held.valid());
  const auto server = start();
  ASSERT_TRUE(server);
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(fmt::format("/proc/{}/fd", server->state().server_pid)))
    EXPECT_NE(fs::read_symlink(entry.path(), error), lock);
}

TEST_F(ManagedPostgresTest, LockFileOfADeadServerDoesNotHinder) {
  copy_pattern();
  const pid_t dead = fork_and([] {});
  ::waitpid(dead, nullptr, 0);
  std::ofstream(data() + "/postmaster.pid") << dead << "\n" << data() << "\n1\n5432\n\n\n1 1\nready\n";
  ASSERT_TRUE(start());
}

TEST_F(ManagedPostgresTest, LockFileThatWasCutShortDoesNotHinder) {
  copy_pattern();
  std::ofstream(data() + "/postmaster.pid") << "";
  ASSERT_TRUE(start());
}

TEST_F(ManagedPostgresTest, LockFileThatNamesAnUnrelatedProcessHarmsNeitherOfThem) {
  copy_pattern();
  // The nearest to a server that is none: its account, its directory.
  auto stranger = spawn_as_server(installed(), "/bin/sleep", {"1000"}, data());
  ASSERT_TRUE(stranger);
  std::ofstream(data() + "/postmaster.pid") << stranger->pid() << "\n"
                                            << data() << "\n1\n5432\n\n\n1 1\nready\n";
  ASSERT_TRUE(start());
  EXPECT_EQ(stranger->wait(std::chrono::steady_clock::now()), wait_outcome::deadline_passed);
}

TEST_F(ManagedPostgresTest, ServerOfAKilledNodeIsFollowedByANewOne) {
  copy_pattern();
  other_node other(directory_);
  ASSERT_GT(other.server_pid, 0);
  other.kill();
  const auto server = start();
  ASSERT_TRUE(server);
  EXPECT_TRUE(wait_for_end(other.server_pid));
  EXPECT_EQ(query(*server, "SELECT answer FROM kept"), "42");
}

TEST_F(ManagedPostgresTest, ServerEndsByItselfWhenItsNodeIsKilled) {
  copy_pattern();
  other_node other(directory_);
  ASSERT_GT(other.server_pid, 0);
  other.kill();
  EXPECT_TRUE(wait_for_end(other.server_pid));
}

TEST_F(ManagedPostgresTest, OrphanThatDoesNotEndIsKilled) {
  copy_pattern();
  other_node other(directory_);
  ASSERT_GT(other.server_pid, 0);
  ::kill(other.server_pid, SIGSTOP);
  other.kill();
  auto options = options_for(directory_);
  options.stop_timeout = 300ms;
  const auto server = start(options);
  ASSERT_TRUE(server);
  EXPECT_TRUE(wait_for_end(other.server_pid));
  EXPECT_EQ(query(*server, "SELECT answer FROM kept"), "42");
}

TEST_F(ManagedPostgresTest, LiveOrphanIsShutDownInOrder) {
  copy_pattern();
  const auto installation = installed();
  const posix::unique_fd watch(::inotify_init1(IN_CLOEXEC));
  ASSERT_GE(::inotify_add_watch(watch.get(), data().c_str(), IN_MODIFY), 0);
  auto orphan = spawn_as_server(
    installation, installation.bin_directory + "/postgres",
    {"-D", data(), "-c", "listen_addresses=", "-c", "unix_socket_directories=" + data()}, data());
  ASSERT_TRUE(orphan);
  while (!postgres_is_ready(directory_, orphan->pid(), {}) && !HasFatalFailure())
    wait_for_event(watch);
  const auto server = start();
  ASSERT_TRUE(server);
  ASSERT_EQ(orphan->wait(soon()), wait_outcome::exited);
  EXPECT_EQ(orphan->how_it_ended().text, "exit status 0");
}

TEST_F(ManagedPostgresTest, HalfMadeDataAreMadeAnew) {
  fs::create_directories(directory_ + "/data.new/base/1");
  std::ofstream(directory_ + "/data.new/PG_VERSION") << "15\n";
  ASSERT_TRUE(start());
  EXPECT_FALSE(fs::exists(directory_ + "/data.new"));
}

TEST_F(ManagedPostgresTest, InitdbThatWasKilledIsRedone) {
  fs::create_directory(directory_);
  const posix::unique_fd watch(::inotify_init1(IN_CLOEXEC));
  ASSERT_GE(::inotify_add_watch(watch.get(), directory_.c_str(), IN_CREATE), 0);
  const pid_t node = fork_and([&] { (void)managed_postgres::start(options_for(directory_)); });
  wait_for_event(watch); // data.new
  ASSERT_GE(::inotify_add_watch(watch.get(), (directory_ + "/data.new").c_str(), IN_CREATE), 0);
  wait_for_event(watch); // initdb's first files
  ::kill(node, SIGKILL);
  ::waitpid(node, nullptr, 0);
  EXPECT_FALSE(fs::exists(data()));
  const auto server = start();
  ASSERT_TRUE(server);
  EXPECT_EQ(query(*server, "SELECT 1"), "1");
}

TEST_F(ManagedPostgresTest, DataOfAnotherMajorVersionAreRefused) {
  fs::create_directories(data());
  std::ofstream(data() + "/PG_VERSION") << "9\n";
  const auto installation = installed();
  ASSERT_EQ(::chown(data().c_str(), installation.uid, installation.gid), 0);
  const auto why = start_failure(options_for(directory_));
  EXPECT_EQ(why.code, errc::conflict);
  EXPECT_TRUE(contains(why.message, "version 9")) << why.message;
  EXPECT_TRUE(contains(why.message, fmt::format("version {}", installation.major_version))) << why.message;
  EXPECT_TRUE(contains(why.message, "cairn rebuild")) << why.message;
}

TEST_F(ManagedPostgresTest, DirectoryOfSomethingElseIsRefusedAndUntouched) {
  fs::create_directories(data());
  std::ofstream(data() + "/precious") << "mine";
  const auto installation = installed();
  ASSERT_EQ(::chown(data().c_str(), installation.uid, installation.gid), 0);
  EXPECT_EQ(start_failure(options_for(directory_)).code, errc::conflict);
  EXPECT_TRUE(fs::exists(data() + "/precious"));
}

TEST_F(ManagedPostgresTest, DataOfAnotherOwnerAreRefused) {
  if (::geteuid() != 0)
    GTEST_SKIP() << "needs root";
  copy_pattern();
  ASSERT_EQ(::chown(data().c_str(), nobody_uid, nobody_uid), 0);
  const auto why = start_failure(options_for(directory_));
  EXPECT_EQ(why.code, errc::conflict);
  EXPECT_TRUE(contains(why.message, "postgres")) << why.message;
}

TEST_F(ManagedPostgresTest, LongPathGetsItsSocketUnderTmp) {
  const std::string parent = scratch_.path(std::string(110, 'd'));
  fs::create_directory(parent);
  directory_ = parent + "/pg";
  copy_pattern();
  const auto server = start();
  ASSERT_TRUE(server);
  EXPECT_EQ(query(*server, "SELECT 1"), "1");
  const auto elsewhere = fs::read_symlink(directory_ + "/socket");
  struct stat info {};
  ASSERT_EQ(::stat(elsewhere.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777U, 0700U);
  ASSERT_TRUE(server->stop());
  EXPECT_FALSE(fs::exists(elsewhere));
  EXPECT_FALSE(fs::is_symlink(directory_ + "/socket"));
}

TEST_F(ManagedPostgresTest, SocketUnderTmpOfAKilledNodeIsRemoved) {
  const std::string parent = scratch_.path(std::string(110, 'd'));
  fs::create_directory(parent);
  directory_ = parent + "/pg";
  copy_pattern();
  other_node other(directory_);
  const auto left = fs::read_symlink(directory_ + "/socket");
  other.kill();
  ASSERT_TRUE(fs::exists(left));
  ASSERT_TRUE(start());
  EXPECT_FALSE(fs::exists(left));
}

TEST_F(ManagedPostgresTest, AnyDirectoryNameWillDo) {
  for (const char* name : {R"(it's "quoted" \ back)", "one,two"}) {
    directory_ = scratch_.path(name);
    copy_pattern();
    const auto server = start();
    ASSERT_TRUE(server) << name;
    EXPECT_EQ(query(*server, "SELECT 1"), "1") << name;
  }
}

TEST_F(ManagedPostgresTest, DirectoryClosedToTheServersUserIsNamed) {
  if (::geteuid() != 0)
    GTEST_SKIP() << "needs root";
  const std::string closed = scratch_.path("closed");
  fs::create_directories(closed + "/below");
  ::chmod(closed.c_str(), 0700);
  const auto why = start_failure(options_for(closed + "/below/pg"));
  EXPECT_EQ(why.code, errc::database_unavailable);
  EXPECT_TRUE(contains(why.message, "'chmod o+x " + closed + "'")) << why.message;
  EXPECT_TRUE(contains(why.message, "postgres")) << why.message;
}

TEST_F(ManagedPostgresTest, RunsAsAnOrdinaryUser) {
  if (::geteuid() != 0)
    GTEST_SKIP() << "all tests run as one already";
  const std::string home = scratch_.path("home");
  fs::create_directory(home);
  ASSERT_EQ(::chown(home.c_str(), nobody_uid, nobody_uid), 0);
  ::chmod(home.c_str(), 0700);
  directory_ = home + "/pg";
  const pid_t node = fork_and([&] {
    if (::setgroups(0, nullptr) != 0 || ::setgid(nobody_uid) != 0 || ::setuid(nobody_uid) != 0)
      ::_exit(10);
    state_log states;
    auto options = options_for(directory_);
    options.on_change = states.observer();
    auto server = managed_postgres::start(options);
    if (!server) {
      fmt::print(stderr, "{}\n", server.error().message);
      ::_exit(11);
    }
    if (!(*server)->create_database("node") || query(**server, "SELECT 1", "node") != "1")
      ::_exit(12);
    ::kill((*server)->state().server_pid, SIGKILL);
    if (!states.wait_for([](const auto& state) { return state.restart_count == 1; }))
      ::_exit(13);
    if (!(*server)->stop() || !find_server_processes(data()).empty())
      ::_exit(14);
  });
  int status = 0;
  ASSERT_EQ(::waitpid(node, &status, 0), node);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST_F(ManagedPostgresTest, MissingProgramsNameThePackage) {
  auto options = options_for(directory_);
  options.bin_directory = scratch_.path("nothing");
  const auto why = start_failure(options);
  EXPECT_EQ(why.code, errc::database_unavailable);
  EXPECT_TRUE(contains(why.message, "Debian package postgresql")) << why.message;
}

TEST_F(ManagedPostgresTest, WordsOfAFailedInitdbAreInTheMessage) {
  auto options = options_for(directory_);
  options.bin_directory = scratch_.path("bin");
  fs::create_directory(options.bin_directory);
  write_program(options.bin_directory + "/postgres", "echo 'postgres (PostgreSQL) 15.1'");
  write_program(options.bin_directory + "/initdb", "echo 'starting'; echo 'the disk is on fire' >&2; exit 3");
  const auto why = start_failure(options);
  EXPECT_EQ(why.code, errc::database_unavailable);
  EXPECT_TRUE(contains(why.message, "exit status 3): starting; the disk is on fire")) << why.message;
  EXPECT_FALSE(fs::exists(data()));
}

TEST_F(ManagedPostgresTest, ServerThatIsNeverReadyIsEnded) {
  auto options = options_for(directory_);
  options.start_timeout = 1s;
  options.bin_directory = scratch_.path("bin");
  fs::create_directory(options.bin_directory);
  write_program(options.bin_directory + "/postgres",
                "test \"$1\" = --version && echo 'postgres (PostgreSQL) 15.1' || exec sleep 1000");
  write_program(options.bin_directory + "/initdb", "echo 15 > PG_VERSION");
  const auto why = start_failure(options);
  EXPECT_EQ(why.code, errc::database_unavailable);
  EXPECT_TRUE(contains(why.message, "not ready in time")) << why.message;
}

TEST_F(ManagedPostgresTest, WordsOfAServerThatDoesNotStartAreInTheMessage) {
  copy_pattern();
  auto options = options_for(directory_);
  options.settings = {{"shared_buffers", "many"}};
  const auto why = start_failure(options);
  EXPECT_EQ(why.code, errc::database_unavailable);
  EXPECT_TRUE(contains(why.message, "invalid value for parameter \"shared_buffers\"")) << why.message;
  EXPECT_FALSE(fs::exists(directory_ + "/socket"));
}

TEST_F(ManagedPostgresTest, OptionsThatDoNotFitAreRefused) {
  EXPECT_EQ(start_failure(options_for("relative/pg")).code, errc::invalid_message);
  EXPECT_EQ(start_failure(options_for("/tmp/two\nlines")).code, errc::invalid_message);
  auto timeless = options_for(directory_);
  timeless.start_timeout = std::chrono::milliseconds::max();
  EXPECT_EQ(start_failure(timeless).code, errc::invalid_message);
  for (const char* name : {"listen_addresses", "Listen-Addresses", "port", "", "a=b"}) {
    auto options = options_for(directory_);
    options.settings = {{name, "1"}};
    EXPECT_EQ(start_failure(options).code, errc::invalid_message) << name;
  }
  EXPECT_FALSE(fs::exists(directory_));
}

TEST_F(ManagedPostgresTest, MissingParentIsNamed) {
  const auto why = start_failure(options_for(scratch_.path("no/pg")));
  EXPECT_EQ(why.code, errc::not_found);
  EXPECT_TRUE(contains(why.message, "no/pg: mkdir failed: No such file or directory")) << why.message;
}

} // namespace
} // namespace cairn
