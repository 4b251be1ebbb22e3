import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedReader;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.File;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.lang.reflect.InvocationTargetException;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import org.apache.kafka.common.utils.internals.Exit;

/**
 * Kafka's command-line tools, one after another in one process, for a JVM takes longer to start than a tool to do its work.
 *
 * <p>usage: Tools JAR-WITH-TOOLS...; the libraries are on the class path. Each line of standard input is {"class": NAME, "arguments": [...], "input": BASE64, "seconds": N};
 * the answer is a line {"code": N, "out": BASE64, "error": BASE64}; a code of -1 means that the tool had not ended in time.
 *
 * <p>Tools keep what they have counted in static fields: each is loaded anew, and only the libraries under them stay.
 */
public final class Tools {
    /** What a tool's exit becomes: it ends the tool and not this process. Some tools catch and print it, so it says nothing. */
    private static final class Exited extends Error {
        Exited() {
            super("", null, false, false);
        }

        @Override
        public String toString() {
            return "";
        }
    }

    /** One run of a tool. */
    private static final class Run {
        /** Tools that catch their own exit exit once more: the first counts. */
        private Integer exit;

        synchronized void exit(int code, String message) {
            if (exit == null) {
                exit = code;
                if (message != null) System.err.println(message);
            }
            throw new Exited();
        }

        synchronized Integer exit() {
            return exit;
        }
    }

    private static volatile Run running;

    private static final ObjectMapper JSON = new ObjectMapper();

    public static void main(String[] arguments) throws Exception {
        List<URL> tools = new ArrayList<>();
        for (String jar : arguments) tools.add(new File(jar).toURI().toURL());
        // A tool that ends from another of its threads ends there: whoever waits for it sees the time run out.
        Exit.setExitProcedure((code, message) -> running.exit(code, message));
        Exit.setHaltProcedure((code, message) -> running.exit(code, message));
        Exit.setShutdownHookAdder((name, hook) -> { });
        PrintStream answers = System.out;
        BufferedReader orders = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line; (line = orders.readLine()) != null; ) {
            answers.println(run(JSON.readTree(line), tools.toArray(URL[]::new)));
            answers.flush();
        }
        Runtime.getRuntime().halt(0);
    }

    private static String run(JsonNode order, URL[] tools) throws Exception {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        ByteArrayOutputStream error = new ByteArrayOutputStream();
        PrintStream ourError = System.err;
        InputStream ourInput = System.in;
        System.setOut(new PrintStream(out, true));
        System.setErr(new PrintStream(error, true));
        System.setIn(new ByteArrayInputStream(Base64.getDecoder().decode(order.path("input").asText(""))));
        Run run = new Run();
        running = run;
        int[] code = {-1};
        Thread tool = new Thread(() -> code[0] = runHere(order, tools, run));
        tool.setDaemon(true);
        tool.start();
        tool.join(order.path("seconds").asInt(60) * 1000L);
        System.out.flush();
        System.setErr(ourError);
        System.setIn(ourInput);
        Base64.Encoder text = Base64.getEncoder();
        return JSON.writeValueAsString(Map.of(
            "code", code[0], "out", text.encodeToString(out.toByteArray()), "error", text.encodeToString(error.toByteArray())));
    }

    private static int runHere(JsonNode order, URL[] tools, Run run) {
        List<String> arguments = new ArrayList<>();
        order.get("arguments").forEach(one -> arguments.add(one.asText()));
        int code = 0;
        try (URLClassLoader loader = new URLClassLoader(tools, Tools.class.getClassLoader())) {
            Thread.currentThread().setContextClassLoader(loader);
            loader.loadClass(order.get("class").asText()).getMethod("main", String[].class)
                .invoke(null, (Object) arguments.toArray(String[]::new));
        } catch (InvocationTargetException thrown) {
            if (!(thrown.getCause() instanceof Exited)) {
                System.err.println(stackOf(thrown.getCause()));
                code = 1;
            }
        } catch (Exception broken) {
            System.err.println(stackOf(broken));
            code = 1;
        }
        return run.exit() == null ? code : run.exit();
    }

    private static String stackOf(Throwable thrown) {
        StringWriter text = new StringWriter();
        thrown.printStackTrace(new PrintWriter(text));
        return text.toString();
    }
}
