/// Measures the transport: requests with a payload from one process to another over loopback, plain and with
/// TLS, beside the same bytes copied through a plain socket in the same run.
///
///     transport_throughput [RUNS] [CA.pem CERTIFICATE.pem KEY.pem]     without files no TLS is measured

#include "actors/interfaces.hpp"
#include "net/network.hpp"

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <future>
#include <map>

#include <arpa/inet.h>
#include <caf/event_based_actor.hpp>
#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

namespace cairn {

namespace {

using sink_actor = caf::typed_actor<caf::replies_to<archive_key_entire>::with<archive_reply>>;

struct load {
  std::size_t payload_bytes;
  std::size_t outstanding;
  std::size_t requests;
};

[[noreturn]] void die(const std::string& why) {
  fmt::print(stderr, "transport_throughput: {}\n", why);
  std::exit(1);
}

double seconds_since(std::chrono::steady_clock::time_point begun) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
}

/// A child process that serves until it is killed, and the port that it told.
class server_process {
public:
  explicit server_process(const std::function<void(int tell)>& serve) {
    int ends[2];
    if (::pipe(ends) != 0)
      die("pipe");
    pid_ = ::fork();
    if (pid_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      serve(ends[1]);
      ::_exit(0);
    }
    ::close(ends[1]);
    if (::read(ends[0], &port_, sizeof port_) != sizeof port_)
      die("the server did not start");
    ::close(ends[0]);
  }
  server_process(const server_process&) = delete;
  server_process& operator=(const server_process&) = delete;
  ~server_process() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  [[nodiscard]] std::uint16_t port() const { return port_; }

private:
  pid_t pid_ = -1;
  std::uint16_t port_ = 0;
};

// --- the reference: the bytes through a socket, and one copy of them ---

void read_whole(int fd, char* into, std::size_t bytes) {
  while (bytes > 0) {
    const auto got = ::recv(fd, into, bytes, 0);
    if (got <= 0)
      ::_exit(0);
    into += got;
    bytes -= static_cast<std::size_t>(got);
  }
}

void write_whole(int fd, const char* from, std::size_t bytes) {
  while (bytes > 0) {
    const auto put = ::send(fd, from, bytes, MSG_NOSIGNAL);
    if (put <= 0)
      die("send");
    from += put;
    bytes -= static_cast<std::size_t>(put);
  }
}

void serve_copies(int tell) {
  const auto listening = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (::bind(listening, reinterpret_cast<sockaddr*>(&address), size) != 0 || ::listen(listening, 1) != 0
      || ::getsockname(listening, reinterpret_cast<sockaddr*>(&address), &size) != 0)
    ::_exit(1);
  const auto port = ntohs(address.sin_port);
  (void)!::write(tell, &port, sizeof port);
  const auto fd = ::accept(listening, nullptr, nullptr);
  std::vector<char> received;
  std::vector<char> copy;
  for (;;) {
    std::uint64_t bytes = 0;
    read_whole(fd, reinterpret_cast<char*>(&bytes), sizeof bytes);
    received.resize(bytes);
    copy.resize(bytes);
    read_whole(fd, received.data(), bytes);
    std::memcpy(copy.data(), received.data(), bytes);
    write_whole(fd, copy.data(), 1);
  }
}

double copy_through_socket(std::uint16_t port, const load& how) {
  const auto fd = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
    die("connect");
  const int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  std::vector<char> message(sizeof(std::uint64_t) + how.payload_bytes, 'x');
  const std::uint64_t bytes = how.payload_bytes;
  std::memcpy(message.data(), &bytes, sizeof bytes);
  const auto begun = std::chrono::steady_clock::now();
  char answer = 0;
  for (std::size_t sent = 0, answered = 0; answered < how.requests;) {
    while (sent < how.requests && sent - answered < how.outstanding) {
      write_whole(fd, message.data(), message.size());
      ++sent;
    }
    read_whole(fd, &answer, 1);
    ++answered;
  }
  const auto took = seconds_since(begun);
  ::close(fd);
  return took;
}

// --- the transport ---

/// The number is of no use: CAF 0.17 goes through a null pointer where a function takes nothing else.
sink_actor::behavior_type sink(sink_actor::pointer, int) {
  return {[](archive_key_entire& m) {
    archive_reply reply;
    reply.env = std::move(m.env);
    return reply;
  }};
}

void serve_actors(const tls_files& files, int tell) {
  std::signal(SIGPIPE, SIG_IGN);
  system_config config;
  caf::actor_system system(config);
  transport_options options;
  options.tls = files;
  auto wire = transport::make(system, options);
  if (!wire)
    ::_exit(1);
  const auto actor = system.spawn(sink, 0);
  const auto port = (*wire)->listen({"127.0.0.1", 0}, caf::actor_cast<caf::strong_actor_ptr>(actor),
                                    system.message_types(actor));
  if (!port)
    ::_exit(1);
  (void)!::write(tell, &*port, sizeof *port);
  ::pause();
}

/// Keeps so many requests under way until all are answered.
struct sender_state {
  sender_state() = default;
  std::size_t sent = 0;
  std::size_t answered = 0;
};

void send_more(caf::stateful_actor<sender_state>* self, const sink_actor& to, const load& how,
               const payload& data, std::promise<void>* done) {
  auto& state = self->state;
  while (state.sent < how.requests && state.sent - state.answered < how.outstanding) {
    archive_key_entire message;
    message.data = data;
    ++state.sent;
    self->request(to, caf::infinite, std::move(message))
      .then(
        [=](const archive_reply&) {
          if (++self->state.answered == how.requests)
            done->set_value();
          else
            send_more(self, to, how, data, done);
        },
        [=](const caf::error& error) { die("no reply: " + self->system().render(error)); });
  }
}

double send_requests(caf::actor_system& system, const sink_actor& to, const load& how) {
  std::promise<void> done;
  const auto begun = std::chrono::steady_clock::now();
  system.spawn(send_more, to, how, payload::uninitialized(how.payload_bytes), &done);
  done.get_future().wait();
  return seconds_since(begun);
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

} // namespace

} // namespace cairn

int main(int argc, char** argv) {
  using namespace cairn;
  const auto runs = argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 5;
  tls_files files;
  if (argc == 5)
    files = {argv[2], argv[3], argv[4]};
  std::signal(SIGPIPE, SIG_IGN);
  // Before this process has threads.
  std::map<std::size_t, std::vector<double>> copied;
  const server_process plain_server([](int tell) { serve_actors({}, tell); });
  const server_process tls_server([&](int tell) { serve_actors(files, tell); });
  std::vector<std::unique_ptr<server_process>> copiers;
  const std::vector<load> loads{{4096, 1, 4'000},    {4096, 16, 20'000},   {65536, 1, 2'000},
                                {65536, 16, 8'000},  {1U << 20U, 1, 300},  {1U << 20U, 16, 800},
                                {10U << 20U, 1, 40}, {10U << 20U, 16, 100}};
  for (std::size_t i = 0; i < loads.size() * runs; ++i)
    copiers.push_back(std::make_unique<server_process>(serve_copies));

  // An actor system has one transport.
  const auto open = [](const tls_files& tls) {
    transport_options options;
    options.tls = tls;
    auto net = network::open(std::move(options));
    if (!net)
      die(net.error().message);
    return std::move(*net);
  };
  const auto connect = [](network& net, std::uint16_t port) {
    auto peer = net.wire().connect({"127.0.0.1", port}, std::chrono::seconds{5});
    if (!peer)
      die(peer.error().message);
    return caf::actor_cast<sink_actor>(std::move(peer->published));
  };
  const auto plain_net = open({});
  const auto tls_net = open(files);
  const auto plain = connect(*plain_net, plain_server.port());
  const auto tls = files.empty() ? sink_actor{} : connect(*tls_net, tls_server.port());

  fmt::print("medians of {} runs; MB = 10^6 bytes of payload\n", runs);
  fmt::print("{:>10} {:>11} | {:>12} | {:>10} {:>10} {:>6} | {:>10} {:>10} {:>6}\n", "payload", "outstanding",
             "socket MB/s", "plain MB/s", "req/s", "ratio", "TLS MB/s", "req/s", "ratio");
  std::size_t copier = 0;
  for (const auto& how : loads) {
    std::vector<double> socket_s;
    std::vector<double> plain_s;
    std::vector<double> tls_s;
    for (std::size_t run = 0; run < runs; ++run) {
      socket_s.push_back(copy_through_socket(copiers[copier++]->port(), how));
      plain_s.push_back(send_requests(plain_net->system(), plain, how));
      if (tls)
        tls_s.push_back(send_requests(tls_net->system(), tls, how));
    }
    const auto total = static_cast<double>(how.payload_bytes * how.requests) / 1e6;
    const auto requests = static_cast<double>(how.requests);
    const auto socket_rate = total / median(socket_s);
    const auto plain_rate = total / median(plain_s);
    fmt::print("{:>10} {:>11} | {:>12.0f} | {:>10.0f} {:>10.0f} {:>6.2f}", how.payload_bytes, how.outstanding,
               socket_rate, plain_rate, requests / median(plain_s), plain_rate / socket_rate);
    if (tls)
      fmt::print(" | {:>10.0f} {:>10.0f} {:>6.2f}", total / median(tls_s), requests / median(tls_s),
                 total / median(tls_s) / socket_rate);
    fmt::print("\n");
  }
  copiers.clear();
  return 0;
}
