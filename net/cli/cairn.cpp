/// cairn: the command line client.

#include "core/version.hpp"
#include "net/cli/command.hpp"

#include <csignal>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <spdlog/spdlog.h>

namespace {

using cairn::cli::exit_code;

constexpr auto footer = "Exit codes: 0 done, 1 failed, 2 usage, 3 not found, 4 damaged, 5 not reachable.";

exit_code run(const std::string& address, const cairn::transport_options& options, cairn::cli::output& out,
              const std::function<exit_code(const cairn::cli::context&)>& command) {
  const auto node = cairn::parse_node_address(address);
  if (!node) {
    out.error(node.error().message);
    return exit_code::usage;
  }
  auto net = cairn::network::open(options);
  if (!net) {
    out.error(net.error().message);
    return exit_code::usage;
  }
  return command({**net, *node, out});
}

/// What a command has done is of no use when its results got lost.
exit_code finish(cairn::cli::output& out, exit_code code) { return out.flush() ? code : exit_code::failed; }

} // namespace

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN); // a reader that went away is an error of one write
  spdlog::set_level(spdlog::level::off);

  CLI::App app{"cairn stores objects on a Cairn node and gives them back.", "cairn"};
  app.footer(footer);
  app.set_version_flag("--version", std::string{"cairn "} + cairn::program_version);
  app.require_subcommand(1);
  std::string address = cairn::default_address;
  bool json = false;
  app
    .add_option("--node", address,
                "Address of the node, HOST:PORT; one of several nodes of a host by its name, HOST:PORT/NODE")
    ->capture_default_str();
  cairn::transport_options net;
  app.add_option("--tls-ca", net.tls.ca, "Certificates of the cluster's authority; with it goes TLS")
    ->envname("CAIRN_TLS_CA");
  app.add_option("--tls-cert", net.tls.certificate, "This client's certificate")->envname("CAIRN_TLS_CERT");
  app.add_option("--tls-key", net.tls.key, "Its key, readable by nobody else")->envname("CAIRN_TLS_KEY");
  app
    .add_option("--tls-name", net.peer_name,
                "Name that the node's certificate must be for; without it, the host in --node")
    ->envname("CAIRN_TLS_NAME");
  app.add_flag("--json", json, "One JSON object a line instead of text");
  app.fallthrough();

  cairn::cli::put_options put;
  auto* put_command = app.add_subcommand("put", "Store a file, or standard input, durably");
  put_command->add_option("FILE", put.file, "File to store; - for standard input")->required();
  put_command->add_option("--key", put.key, "Key to store it under; without it the file's name");
  put_command->add_option("--collection", put.collection, "Collection number")->capture_default_str();
  put_command->add_option("--meta", put.meta, "key=value to keep with it; may be repeated");

  put_command->add_option(
    "--part-size", put.part_size,
    "Store it in parts of this size (e.g. 256MiB); the same command goes on after an interruption");

  cairn::cli::get_options get;
  auto* get_command = app.add_subcommand("get", "Give an object back, byte for byte");
  get_command->add_option("KEY", get.key, "Key of the object")->required();
  get_command->add_option("-o,--output", get.file, "File to write; - for standard output")
    ->capture_default_str();
  get_command->add_option("--collection", get.collection, "Collection number")->capture_default_str();
  get_command->add_option("--version", get.version, "A certain version instead of the newest");
  get_command->add_option("--range", get.range, "FIRST-LAST: only these bytes, both included");

  cairn::cli::list_options list;
  auto* list_command = app.add_subcommand("ls", "List keys in byte order");
  list_command->add_option("PREFIX", list.prefix, "Only keys that begin with it");
  list_command->add_option("--collection", list.collection, "Collection number")->capture_default_str();

  list_command->add_flag("--versions", list.versions,
                         "Every visible version, not the newest of each key alone");

  cairn::cli::remove_options remove;
  auto* remove_command = app.add_subcommand("rm", "Delete a key, or one version of it");
  remove_command->add_option("KEY", remove.key, "Key of the object")->required();
  remove_command->add_option("--collection", remove.collection, "Collection number")->capture_default_str();
  remove_command->add_option("--version", remove.version, "That version alone");

  cairn::cli::node_options new_node;
  auto* node_command = app.add_subcommand("node", "The cluster's nodes, as this node knows them");
  node_command->require_subcommand(1);
  auto* node_add_command = node_command->add_subcommand("add", "Make a node known");
  node_add_command->add_option("NUMBER", new_node.number, "Its number, unique in the cluster")->required();
  node_add_command->add_option("NAME", new_node.name, "Its name, unique in the cluster")->required();
  node_add_command->add_option("ADDRESS", new_node.address, "HOST:PORT");
  node_command->add_subcommand("ls", "List them");

  cairn::cli::stat_options stat;
  auto* stat_command = app.add_subcommand("stat", "Show what is known of an object");
  stat_command->add_option("KEY", stat.key, "Key of the object")->required();
  stat_command->add_option("--collection", stat.collection, "Collection number")->capture_default_str();
  stat_command->add_option("--version", stat.version, "A certain version instead of the newest");

  cairn::cli::bench_options bench;
  auto* bench_command =
    app.add_subcommand("bench", "Measure the node under load; what it archives stays there");
  bench_command->add_option("--mode", bench.mode, "put, get or mixed")->capture_default_str();
  bench_command->add_option("--size", bench.size, "Bytes of each sequence")->capture_default_str();
  bench_command->add_option("--sequences", bench.sequences, "Sequences of an object; 1 is sent whole")
    ->capture_default_str();
  bench_command->add_option("--concurrency", bench.concurrency, "Clients at once")->capture_default_str();
  bench_command->add_option("--in-flight", bench.in_flight, "Messages under way of each client")
    ->capture_default_str();
  bench_command->add_option("--connections", bench.connections, "Connections that the clients share")
    ->capture_default_str();
  bench_command->add_option("--range", bench.range, "get: read only so much of each object, anywhere");
  bench_command->add_option("--objects", bench.objects,
                            "get, mixed: how many are archived first; without it 32 for each client");
  bench_command->add_option("--seconds", bench.seconds, "How long")->capture_default_str();
  bench_command->add_option("--collection", bench.collection, "Collection number")->capture_default_str();
  bench_command->add_option("--reference-dir", bench.reference_directory,
                            "Where the raw disk is measured; without it a file space of the node, if it is "
                            "on this machine");

  auto* status_command = app.add_subcommand(
    "status", "Show how the node is; of a host without a node of its own, which nodes it runs");

  std::string dump_file;
  auto* dump_command = app.add_subcommand("dump", "List the records of a value file; needs no node");
  dump_command->add_option("FILE", dump_file, "A value file")->required();

  cairn::cli::offline_options offline;
  const auto add_offline_options = [&](CLI::App* command) {
    command->add_option("--data-dir", offline.data_directory, "The node's directory, as cairnd has it")
      ->required();
    command->add_option("--database", offline.database,
                        "PostgreSQL connection string or URI, if cairnd is given one");
  };
  auto* rebuild_command = app.add_subcommand(
    "rebuild",
    "Make a new database from the value files of a node that does not run; the old one is kept aside");
  add_offline_options(rebuild_command);
  rebuild_command->add_flag(
    "--new-server", offline.new_server,
    "Put the node's own PostgreSQL aside as well and make a new one: for one that does "
    "not start any more");
  auto* verify_command = app.add_subcommand(
    "verify",
    "Read every value file and prove the database against it; on the node's machine, whether it runs "
    "or not");
  add_offline_options(verify_command);
  verify_command->add_option("--rate", offline.rate, "Read so much a second at most, e.g. 100MiB");
  verify_command->add_option(
    "--state", offline.state,
    "File that remembers which value files are done; the same command goes on after an "
    "interruption");

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const auto is_answer = app.exit(error) == 0; // --help, --version
    cairn::cli::output answer(json);
    return static_cast<int>(is_answer ? finish(answer, exit_code::done) : exit_code::usage);
  }

  cairn::cli::output out(json);
  if (put_command->count("--key") != 0 && put.key.empty()) {
    out.error("--key is empty: a key has 1 to 1024 bytes");
    return static_cast<int>(exit_code::usage);
  }
  auto code = exit_code::usage;
  try {
    if (dump_command->parsed())
      code = cairn::cli::dump(out, dump_file);
    else if (rebuild_command->parsed())
      code = cairn::cli::rebuild(out, offline);
    else if (verify_command->parsed())
      code = cairn::cli::verify(out, offline);
    else
      code = run(address, net, out, [&](const cairn::cli::context& where) {
        if (put_command->parsed())
          return cairn::cli::put(where, put);
        if (get_command->parsed())
          return cairn::cli::get(where, get);
        if (list_command->parsed())
          return cairn::cli::list(where, list);
        if (remove_command->parsed())
          return cairn::cli::remove(where, remove);
        if (node_add_command->parsed())
          return cairn::cli::add_node(where, new_node);
        if (node_command->parsed())
          return cairn::cli::list_nodes(where);
        if (stat_command->parsed())
          return cairn::cli::stat(where, stat);
        if (bench_command->parsed())
          return cairn::cli::bench(where, bench, net);
        (void)status_command;
        return cairn::cli::status(where);
      });
    code = finish(out, code);
  } catch (const std::exception& error) {
    out.error(error.what());
    code = exit_code::failed;
  }
  return static_cast<int>(code);
}
