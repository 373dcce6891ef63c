#include "core/db/postgres_keeper.hpp"

#include "core/db/server_processes.hpp"

#include <algorithm>
#include <csignal>

#include <fcntl.h>
#include <poll.h>
#include <spdlog/spdlog.h>
#include <sys/eventfd.h>
#include <sys/stat.h>

namespace cairn {

namespace {

using clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr auto ready_poll_interval =
  5ms; // postmaster.pid is a file that is rewritten in place: nothing to wait on
constexpr auto shortest_back_off = 100ms;
constexpr auto longest_back_off = 10'000ms;
constexpr auto healthy_uptime = 60s; // after this a death is the first of its kind
constexpr auto kill_bound = 5s;
constexpr off_t max_log_bytes = off_t{16} << 20;

std::chrono::milliseconds longer(std::chrono::milliseconds back_off) {
  return std::clamp<std::chrono::milliseconds>(back_off * 2, shortest_back_off, longest_back_off);
}

/// Reasons of a failed start that go by themselves: processes of a server that was killed are about to end.
bool is_passing(const failure& why) {
  return why.message.find("pre-existing shared memory block") != std::string::npos
         || why.message.find("lock file \"postmaster.pid\" already exists") != std::string::npos;
}

/// The server's output file, and where this launch's part begins.
struct server_log {
  posix::unique_fd fd;
  off_t begin = 0;
};

result<server_log> open_log(const std::string& directory) {
  const std::string path = directory + "/log";
  struct stat info {};
  if (::stat(path.c_str(), &info) == 0 && info.st_size > max_log_bytes)
    ::rename(path.c_str(), (path + ".old").c_str());
  server_log log{posix::unique_fd(::open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0640))};
  if (!log.fd.valid() || ::fstat(log.fd.get(), &info) != 0)
    return posix::fail_errno(path, "open", errno);
  log.begin = info.st_size;
  return log;
}

std::string read_log(const server_log& log) {
  std::string text(64 << 10, '\0');
  const auto count =
    posix::retry_interrupted([&] { return ::pread(log.fd.get(), text.data(), text.size(), log.begin); });
  text.resize(static_cast<std::size_t>(std::max<ssize_t>(count, 0)));
  return last_lines(text);
}

/// An element of a list setting: in double quotes any character stands for itself.
std::string quoted_element(std::string_view text) {
  std::string quoted = "\"";
  for (const char c : text)
    quoted.append(c == '"' ? 2 : 1, c);
  return quoted + '"';
}

} // namespace

postgres_keeper::postgres_keeper(managed_postgres_options options, postgres_installation installation,
                                 std::string socket_directory)
    : options_(std::move(options)), installation_(std::move(installation)),
      socket_directory_(std::move(socket_directory)), stop_event_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

postgres_keeper::~postgres_keeper() {
  if (auto stopped = stop(); !stopped)
    spdlog::error("postgres_stop_failed directory=\"{}\" reason=\"{}\"", options_.directory,
                  stopped.error().message);
}

result<void> postgres_keeper::start(deadline until) {
  if (!stop_event_.valid())
    return fail(errc::storage_error, "no event descriptor for the PostgreSQL keeper: too many open files");
  std::promise<result<void>> first;
  auto outcome = first.get_future();
  // The thread inherits a full mask: signals to the process are the other threads' business.
  sigset_t all;
  sigset_t before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  try {
    thread_ = std::thread(&postgres_keeper::run, this, std::move(first), until);
  } catch (const std::system_error& error) {
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    return fail(errc::database_unavailable,
                fmt::format("no thread for the PostgreSQL keeper: {}", error.what()));
  }
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return outcome.get();
}

result<void> postgres_keeper::stop() {
  const std::scoped_lock one_at_a_time(stop_mutex_);
  if (std::exchange(stopped_, true))
    return stop_outcome_;
  ::eventfd_write(stop_event_.get(), 1); // never read: every wait from now on ends at once
  if (thread_.joinable())
    thread_.join();
  if (stop_outcome_)
    remove_postgres_sockets(options_.directory);
  return stop_outcome_;
}

managed_postgres_state postgres_keeper::state() const {
  const std::scoped_lock lock(state_mutex_);
  return state_;
}

void postgres_keeper::run(std::promise<result<void>> first, deadline until) noexcept {
  auto child = launch_first(until);
  if (!child) {
    first.set_value(pass_failure(child));
  } else {
    change([&](auto& state) {
      state.phase = managed_postgres_phase::running;
      state.server_pid = child->pid();
    });
    first.set_value({});
    keep_running(std::move(*child));
  }
  change([](auto& state) {
    state.phase = managed_postgres_phase::stopped;
    state.server_pid = 0;
  });
}

void postgres_keeper::keep_running(child_process first) {
  std::optional<child_process> child(std::move(first));
  std::chrono::milliseconds delay{0};
  while (child) {
    spdlog::info("postgres_ready pid={} socket_directory=\"{}\"", child->pid(), socket_directory_);
    const auto ready_at = clock::now();
    if (child->wait(deadline::max(), stop_event_.get()) == wait_outcome::interrupted) {
      stop_outcome_ = end(*child);
      spdlog::info("postgres_stopped directory=\"{}\" reason=\"{}\"", options_.directory,
                   stop_outcome_ ? child->how_it_ended().text : stop_outcome_.error().message);
      return;
    }
    const std::string reason = child->how_it_ended().text;
    spdlog::warn("postgres_died pid={} reason=\"{}\" log=\"{}/log\"", child->pid(), reason,
                 options_.directory);
    change([&](auto& state) {
      state.phase = managed_postgres_phase::restarting;
      state.server_pid = 0;
      state.last_exit = reason;
    });
    if (clock::now() - ready_at >= healthy_uptime)
      delay = 0ms;
    child.reset();
    if (auto next = restart(delay))
      child.emplace(std::move(*next));
  }
}

/// @returns nothing when told to stop
std::optional<child_process> postgres_keeper::restart(std::chrono::milliseconds& delay) {
  while (!told_to_stop_within(delay)) {
    delay = longer(delay);
    auto child = launch(deadline::max());
    if (child) {
      change([&](auto& state) {
        state.phase = managed_postgres_phase::running;
        state.server_pid = child->pid();
        ++state.restart_count;
      });
      return std::move(*child);
    }
    if (child.error().code == errc::shutting_down)
      break;
    spdlog::warn("postgres_restart_failed retry_ms={} reason=\"{}\"", delay.count(), child.error().message);
    change([&](auto& state) { state.last_exit = child.error().message; });
  }
  if (auto ended = end_server_processes(data_directory(), options_.stop_timeout); !ended)
    stop_outcome_ = pass_failure(ended);
  return std::nullopt;
}

result<child_process> postgres_keeper::launch_first(deadline until) {
  for (auto delay = shortest_back_off;; delay = longer(delay)) {
    auto child = launch(until);
    if (child || !is_passing(child.error()) || clock::now() + delay >= until)
      return child;
    spdlog::info("postgres_start_waits retry_ms={} reason=\"{}\"", delay.count(), child.error().message);
    if (told_to_stop_within(delay))
      return child;
  }
}

result<child_process> postgres_keeper::launch(deadline until) {
  if (auto ended = end_server_processes(data_directory(), options_.stop_timeout); !ended)
    return pass_failure(ended);
  remove_stale_postgres_locks(options_.directory, socket_directory_);
  auto log = open_log(options_.directory);
  if (!log)
    return pass_failure(log);
  const auto before = stamp_of_postgres_lock(options_.directory);
  auto child = spawn_server(log->fd.get());
  if (!child)
    return fail(errc::database_unavailable, child.error().message);
  auto ready = wait_until_ready(*child, before, until);
  if (ready)
    return child;
  auto ended = end(*child);
  if (ready.error().code != errc::shutting_down)
    ready.error().message += fmt::format("; its output: {}", read_log(*log));
  return pass_failure(ended ? ready : ended);
}

result<child_process> postgres_keeper::spawn_server(int log_fd) const {
  std::vector<std::pair<std::string, std::string>> settings{
    {"fsync", "on"}, {"shared_buffers", "128MB"}, {"max_connections", "40"}};
  settings.insert(settings.end(), options_.settings.begin(), options_.settings.end());
  // The last one counts, also over what ALTER SYSTEM wrote.
  for (const auto& fixed : std::vector<std::pair<std::string, std::string>>{
         {"listen_addresses", ""},
         {"port", std::to_string(managed_postgres_port)},
         {"unix_socket_directories", quoted_element(socket_directory_)},
         {"unix_socket_permissions", "0700"},
         {"log_destination", "stderr"},
         {"log_min_error_statement", "panic"}, // a round is long, and the log is cut only at a start
         {"logging_collector", "off"}})
    settings.push_back(fixed);
  std::vector<std::string> arguments{"-D", data_directory()};
  for (const auto& [name, value] : settings) {
    arguments.emplace_back("-c");
    arguments.push_back(fmt::format("{}={}", name, value));
  }
  // In the data directory from its first moment on, so that end_server_processes() finds it there.
  return child_process::spawn(
    {installation_.command(installation_.bin_directory + "/postgres", std::move(arguments)), data_directory(),
     log_fd});
}

result<void> postgres_keeper::wait_until_ready(child_process& child, const postgres_lock_stamp& before,
                                               deadline until) const {
  while (!postgres_is_ready(options_.directory, child.pid(), before)) {
    switch (child.wait(std::min(until, clock::now() + ready_poll_interval), stop_event_.get())) {
      case wait_outcome::exited:
        return fail(errc::database_unavailable, fmt::format("PostgreSQL in {} did not start ({})",
                                                            data_directory(), child.how_it_ended().text));
      case wait_outcome::interrupted: return fail(errc::shutting_down, "the node is stopping");
      case wait_outcome::deadline_passed: break;
    }
    if (clock::now() >= until)
      return fail(errc::database_unavailable,
                  fmt::format("PostgreSQL in {} was not ready in time", data_directory()));
  }
  return {};
}

/// SIGINT, SIGQUIT, SIGKILL, each with its time; then whatever a killed server left.
result<void> postgres_keeper::end(child_process& child) const {
  child.send(SIGINT);
  if (child.wait(clock::now() + options_.stop_timeout) != wait_outcome::exited) {
    child.send(SIGQUIT);
    if (child.wait(clock::now() + options_.stop_timeout) != wait_outcome::exited) {
      child.send(SIGKILL);
      if (child.wait(clock::now() + kill_bound) != wait_outcome::exited)
        return fail(errc::database_unavailable,
                    fmt::format("PostgreSQL server {} does not end, not even by SIGKILL", child.pid()));
    }
  }
  auto ended = end_server_processes(data_directory(), options_.stop_timeout);
  return ended ? result<void>{} : pass_failure(ended);
}

void postgres_keeper::change(const std::function<void(managed_postgres_state&)>& edit) {
  managed_postgres_state now;
  {
    const std::scoped_lock lock(state_mutex_);
    edit(state_);
    now = state_;
  }
  if (options_.on_change)
    options_.on_change(now);
}

bool postgres_keeper::told_to_stop_within(std::chrono::milliseconds time) const {
  pollfd watched{stop_event_.get(), POLLIN, 0};
  return ::poll(&watched, 1, static_cast<int>(time.count())) > 0;
}

} // namespace cairn
