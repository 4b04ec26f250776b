FROM python:3.12-slim
WORKDIR /app
RUN pip install flask scikit-learn
COPY ch10_app.py model.pkl ./
EXPOSE 5000
CMD ["python", "ch10_app.py", "model.pkl", "0.0.0.0", "5000"]
