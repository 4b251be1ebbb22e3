package diff;

import static diff.Masks.*;
import static diff.Messages.*;
import static diff.Scenarios.*;
import static diff.Sides.*;

import com.fasterxml.jackson.core.*;
import com.fasterxml.jackson.databind.*;
import com.fasterxml.jackson.databind.node.*;
import java.io.*;
import java.lang.reflect.*;
import java.net.*;
import java.nio.file.*;
import java.util.*;
import java.util.concurrent.*;
import java.util.regex.*;
import org.apache.kafka.common.message.*;
import org.apache.kafka.common.protocol.*;
import org.apache.kafka.common.record.*;
import org.apache.kafka.common.record.internal.*;

/**
 * Sends the requests of scenario files to Apache Kafka and to Ringmain and prints where the masked answers differ.
 * scripts/diff starts both and runs it.
 *
 * <p>usage: Diff KAFKA-PORT RINGMAIN-PORT LOG-FOLDER TABLE SCENARIO-FILE...
 * System properties: only (a regular expression of FILE/NAME), edges (foreach takes the lowest and the highest version), max
 * (differences shown of a request), texts, whole (names lines of the table that match nothing). The table has one regular expression a line, found in "FILE/NAME API vN PATH: DIFFERENCE"; what
 * matches is counted as known and not shown.
 *
 * <h2>Scenarios</h2>
 * {@code == NAME [foreach API [VERSIONS]]} begins one; with foreach it is run once per version of that API, {@code $v}. Then a line each:
 * <pre>
 * @CONN API VERSIONS [OPTION…] {json} -> var=/path/to/0/field other=/topics/[name=${P}-a]/topicId
 * @CONN& API …          sends and goes on; `wait @CONN -> captures` takes the answers
 * sleep MS | set NAME=TEXT | close @CONN
 * </pre>
 * VERSIONS: {@code 3}, {@code 3-7}, {@code 3-}, {@code *} (each in turn; {@code $V} in the JSON), {@code $v}. The JSON is Kafka's (its
 * *DataJsonConverter), relaxed; fields that are not given have their defaults, and fields that a version has not are dropped.
 * Variables: {@code $P} (a prefix of this run's own), {@code ${T+5}} (an hour ago + 5 ms, the same on both), {@code ${NOW+5}},
 * {@code ${X250}} (a name of 250 letters), captures.
 * Bytes: {@code {$b:"text"}}, {@code {$hex:"00"}}, {@code {$gz:n}} (n zeros, packed), {@code {$sub:["topic"], own:[["topic",0]]}}, {@code {$assign:[["topic",0]]}}, and records
 * {@code {$r:[{codec,base,pid,epoch,seq,txn,append,magic,ple,flip,cut,recs:[[key,value,timestamp,[[header,value]]]]}]}} with values
 * {@code {$z:n}} (n letters) and {@code {$x:n}} (n random bytes). {@code {$r:[{forge:{…}}]}} is a batch whose length and checksum are right
 * and whose inside is made by hand: codec, deltas (offsets of the records in it), times_ms (their times), extra (bytes left over in
 * each), plain (text instead of records), times (how often it is compressed), cut (bytes that miss at its end); and of the header:
 * count, last (offset), attributes, maxTimestamp.
 * Options: {@code ready} (asks again while topics or leaders are unknown), {@code noretry} (not even for a coordinator that loads),
 * {@code sent=V} (the header's version), {@code as=V} (the answer's), {@code client=ID}, {@code noclient}, {@code timeout=MS},
 * {@code silent} (no answer is expected).
 *
 * <p>Masked: hosts, ports, cluster ids, throttle times, sizes, directories, error texts, session, producer and subscription ids, uuids
 * (numbered as they appear; a topic's by its name), times near now, the order of arrays other than replicas, isr and records ("but for
 * the order" counts those); member epochs of Kafka's consumer groups less 1, for Kafka begins with 2.
 *
 * <p>Every run uses names of its own and deletes its topics.
 */
public final class Diff {
    public static void main(String[] args) throws Exception {
        int kp = Integer.parseInt(args[0]), rp = Integer.parseInt(args[1]);
        Path out = Path.of(args[2]), table = Path.of(args[3]);
        texts = Boolean.getBoolean("texts");
        String only = System.getProperty("only");
        List<Pattern> known = new ArrayList<>();
        for (String l : Files.readAllLines(table)) if (!l.isBlank() && !l.startsWith("#")) known.add(Pattern.compile(l.strip()));
        int[] knownHits = new int[known.size()];
        List<Path> files = new ArrayList<>();
        for (int i = 4; i < args.length; i++) files.add(Path.of(args[i]));
        Files.createDirectories(out);
        int compared = 0, equal = 0, knownOnly = 0, orderOnly = 0; Set<String> apiVersions = new TreeSet<>(), orders = new TreeSet<>(); int runNo = 0;
        Map<String, int[]> perApi = new TreeMap<>();
        long seed = System.currentTimeMillis() / 100 % 10_000_000;
        for (Path f : files) for (Scenario sc : parse(f)) {
            if (only != null && !sc.name.matches(only)) continue;
            PrintWriter log = new PrintWriter(out.resolve(sc.name.replace('/', '.') + ".log").toFile());
            Map<String, List<String>> diffs = new LinkedHashMap<>(); long t0 = System.currentTimeMillis();
            List<Integer> vs = sc.eachApi == null ? Collections.singletonList(null) : versions(sc.eachApi, sc.eachVersions);
            if (Boolean.getBoolean("edges") && vs.size() > 2) vs = List.of(vs.get(0), vs.get(vs.size() - 1));
            for (Integer v : vs) {
                String prefix = String.format("x%07d%03d", seed, runNo++ % 1000);
                Side k = new Side(), r = new Side(); k.name = "kafka"; r.name = "ringmain"; k.host = r.host = "127.0.0.1"; k.port = kp; r.port = rp; k.prefix = r.prefix = prefix;
                Thread a = new Thread(() -> k.run(sc, v)), b = new Thread(() -> r.run(sc, v)); a.start(); b.start(); a.join(); b.join();
                int n = Math.min(k.answers.size(), r.answers.size());
                if (k.answers.size() != r.answers.size()) { System.out.println("!! " + sc.name + " v=" + v + ": " + k.answers.size() + " and " + r.answers.size() + " answers"); }
                for (int i = 0; i < n; i++) {
                    Answer x = k.answers.get(i), y = r.answers.get(i); k.api = r.api = x.api;
                    JsonNode xs = mask(sort(x.raw, "", k), "", k, true), ys = mask(sort(y.raw, "", r), "", r, true);
                    log.println(sc.name + ":" + x.line + " " + x.api + " v" + x.v + "\n  K " + mask(x.raw, "", k, true) + "\n  R " + mask(y.raw, "", r, true));
                    List<String> d = new ArrayList<>(); walk("", xs, ys, d);
                    compared++; apiVersions.add(x.api + " v" + x.v); int[] pa = perApi.computeIfAbsent(x.api, q -> new int[3]); pa[0]++;
                    boolean all = true;
                    for (String s : d) {
                        String full = x.api + " v" + x.v + " " + s; boolean kn = false;
                        for (int q = 0; q < known.size(); q++) if (known.get(q).matcher(sc.name + " " + full).find()) { kn = true; knownHits[q]++; break; }
                        if (kn) continue;
                        all = false;
                        diffs.computeIfAbsent(x.line + " " + x.api + "\u0000" + s, q -> new ArrayList<>()).add(x.v + (sc.eachApi != null && !sc.eachApi.equals(x.api) ? "(" + sc.eachApi + " " + v + ")" : ""));
                    }
                    if (d.isEmpty()) { equal++; if (!mask(x.raw, "", k, false).equals(mask(y.raw, "", r, false))) { orderOnly++; orders.add(x.api); } } else if (all) { knownOnly++; pa[1]++; } else pa[2]++;
                }
            }
            log.close();
            System.out.println("-- " + sc.name + " (" + (System.currentTimeMillis() - t0) + " ms)");
            Map<String, List<String>> byHead = new LinkedHashMap<>();
            for (var e : diffs.entrySet()) { String[] p = e.getKey().split("\u0000", 2); byHead.computeIfAbsent(sc.name + ":" + p[0] + " v" + span(e.getValue()), q -> new ArrayList<>()).add(p[1]); }
            for (var e : byHead.entrySet()) { System.out.println(e.getKey()); int i = 0; for (String s : e.getValue()) { if (i++ >= Integer.getInteger("max", 12)) { System.out.println("     … " + (e.getValue().size() - 12) + " more"); break; } System.out.println("     " + s); } }
            System.out.flush();
        }
        System.out.println("== compared " + compared + " requests, " + apiVersions.size() + " API versions: equal " + equal + " (" + orderOnly + " but for the order of arrays: " + orders + "), only known differences " + knownOnly + ", different " + (compared - equal - knownOnly));
        for (var e : perApi.entrySet()) System.out.println("   " + e.getKey() + ": " + e.getValue()[0] + " compared, " + e.getValue()[1] + " known, " + e.getValue()[2] + " different");
        for (int q = 0; q < known.size(); q++) if (Boolean.getBoolean("whole") && knownHits[q] == 0) System.out.println("   known.txt matches nothing: " + known.get(q));
        System.exit(compared - equal - knownOnly > 0 ? 1 : 0);
    }
    static String span(List<String> v) {
        try {
            TreeSet<Integer> s = new TreeSet<>(); for (String x : v) s.add(Integer.parseInt(x));
            int lo = s.first(), hi = s.last(); return s.size() == 1 ? "" + lo : s.size() == hi - lo + 1 ? lo + "-" + hi : s.toString().replace(" ", "");
        } catch (NumberFormatException e) { TreeSet<String> s = new TreeSet<>(v); return s.toString().replace(" ", ""); }
    }
}
